//! Lamport's logical clock, by which Celery orders events and remote control.

use std::sync::atomic::{AtomicU64, Ordering};

/// A count that is always ahead of everything it has heard of.
#[derive(Debug, Default)]
pub(crate) struct Clock(AtomicU64);

impl Clock {
    /// The present count.
    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// One on, for something that is sent.
    pub(crate) fn forward(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    /// Past what somebody else sent. A number that no clock reaches is not believed: it would end the count.
    pub(crate) fn adjust(&self, other: u64) {
        let other = if other < 1 << 53 { other } else { 0 };
        self.0.fetch_max(other, Ordering::Relaxed);
        self.forward();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_ahead_of_all_that_it_has_heard() {
        let clock = Clock::default();
        assert_eq!((clock.forward(), clock.forward()), (1, 2));
        clock.adjust(40);
        assert_eq!(clock.value(), 41);
        clock.adjust(5);
        clock.adjust(u64::MAX);
        assert_eq!(clock.value(), 43);
    }
}
