//! The wall clock in Voltgate's unit: nanoseconds since 1970, in records, keys and deadlines.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Nanoseconds since 1970-01-01T00:00:00Z.
pub type Nanos = u64;

/// The current time.
pub fn now() -> Nanos {
    nanos(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// If the last reading is further ahead of the clock than this, the clock has been set back.
const AHEAD: Nanos = 1_000_000;

/// Start times, which name records. No two readings are equal unless the clock is set back. With a plain clock two
/// threads may read the same value (it advances in steps of 10 ns on some machines, and under load two requests for one
/// driver did begin at the same value).
#[derive(Debug, Default)]
pub struct StartTimes {
    last: AtomicU64,
}

impl StartTimes {
    /// The current time, or the next value that has not been returned yet.
    pub fn now(&self) -> Nanos {
        let mut told = 0;
        let _ = self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
            // Read again at each try: an older reading would look like a clock that was set back.
            let now = now();
            told = if last.wrapping_sub(now) < AHEAD { last + 1 } else { now };
            Some(told)
        });
        told
    }
}

/// A span in nanoseconds; longer spans than 584 years are cut to that.
pub fn nanos(span: Duration) -> Nanos {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// How long ago `moment` was; zero if it is ahead, as between machines whose clocks differ.
pub fn since(moment: Nanos) -> Duration {
    Duration::from_nanos(now().saturating_sub(moment))
}

/// The time left until `moment`; zero once it has passed.
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
