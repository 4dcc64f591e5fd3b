//! The wall clock as Voltgate writes it: nanoseconds since 1970, in records, keys and deadlines.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Nanoseconds since 1970-01-01T00:00:00Z.
pub type Nanos = u64;

/// The present moment.
pub fn now() -> Nanos {
    nanos(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Further ahead of the clock than this, a reading was made before the clock was set back.
const AHEAD: Nanos = 1_000_000;

/// Start times, which name records: no two readings are the same, unless the clock is set back. A plain clock tells two threads the same moment (it goes
/// in steps of 10 ns on some machines, and under load two requests for one driver did begin in the same one).
#[derive(Debug, Default)]
pub struct StartTimes {
    last: AtomicU64,
}

impl StartTimes {
    /// The present moment, or the next one that nobody was told yet.
    pub fn now(&self) -> Nanos {
        let mut told = 0;
        let _ = self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
            // Read anew in each try: with an older reading it would seem to have been set back.
            let now = now();
            told = if last.wrapping_sub(now) < AHEAD { last + 1 } else { now };
            Some(told)
        });
        told
    }
}

/// A span as nanoseconds; spans beyond 584 years are cut to that.
pub fn nanos(span: Duration) -> Nanos {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// How long ago `moment` was; nothing if it is ahead, as on a machine whose clock differs.
pub fn since(moment: Nanos) -> Duration {
    Duration::from_nanos(now().saturating_sub(moment))
}

/// What is left until `moment`; nothing once it has passed.
pub fn until(moment: Nanos) -> Duration {
    Duration::from_nanos(moment.saturating_sub(now()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_start_times_are_the_same_and_all_are_of_this_moment() {
        let (times, began) = (StartTimes::default(), now());
        let all: Vec<Nanos> = std::thread::scope(|scope| {
            let reading = || (0..100_000).map(|_| times.now()).collect::<Vec<_>>();
            let threads = [(); 4].map(|()| scope.spawn(reading));
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), 400_000);
        assert!(all.iter().all(|time| (began..=now() + AHEAD).contains(time)));
    }

    #[test]
    fn a_clock_that_was_set_back_is_believed() {
        let times = StartTimes { last: AtomicU64::new(now() + nanos(Duration::from_secs(3600))) };
        assert!(times.now() <= now());
    }
}
