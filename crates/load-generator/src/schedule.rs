//! When requests are due: at a given rate regardless of the answers (open loop), or when an earlier one has been called
//! back (closed loop). In both, a permit stands for a request that is due.

use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

/// How requests follow each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// Requests per second. Latencies count from when a request was due, not from when it could be sent.
    Rate(f64),
    /// Number of requests in flight, from the call to the callback.
    InFlight(usize),
    /// Number of unanswered requests, without waiting for callbacks. This fills the queue.
    Unheeded(usize),
}

/// When the requests of an open loop are due.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timetable {
    began: Instant,
    every: Duration,
}

impl Timetable {
    pub(crate) fn new(began: Instant, rate: f64) -> Self {
        Self { began, every: Duration::from_secs_f64(1.0 / rate) }
    }

    pub(crate) fn due(&self, number: u64) -> Instant {
        self.began + self.every.mul_f64(number as f64)
    }
}

/// Adds a permit at each time in the timetable. It runs on a thread, which wakes within some microseconds; tokio's
/// timers have a resolution of a millisecond, as long as what is measured.
pub(crate) fn keep_to(timetable: Timetable, requests: u64, permits: &Semaphore) {
    let mut given = 0;
    while given < requests {
        std::thread::sleep(timetable.due(given).saturating_duration_since(Instant::now()));
        let (before, now) = (given, Instant::now());
        while given < requests && timetable.due(given) <= now {
            given += 1;
        }
        permits.add_permits(usize::try_from(given - before).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn permits_come_when_they_are_due_and_never_before() {
        let permits = Arc::new(Semaphore::new(0));
        let timetable = Timetable::new(Instant::now(), 1000.0);
        let given = Arc::clone(&permits);
        let keeping = std::thread::spawn(move || keep_to(timetable, 50, &given));
        for number in 0..50 {
            permits.acquire().await.unwrap().forget();
            assert!(Instant::now() >= timetable.due(number), "{number}");
        }
        keeping.join().unwrap();
        assert_eq!(permits.available_permits(), 0);
    }
}
