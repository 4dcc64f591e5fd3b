//! Lamport's logical clock, which orders Celery's events and remote control messages.

use std::sync::atomic::{AtomicU64, Ordering};

/// A counter that is always ahead of every value it has received.
#[derive(Debug, Default)]
pub(crate) struct Clock(AtomicU64);

impl Clock {
    /// The current value.
    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Increments the clock, for a message to be sent.
    pub(crate) fn forward(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    /// Moves the clock past a received value. A value that no clock can reach is ignored: it would exhaust the counter.
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
    fn it_is_ahead_of_every_received_value() {
        let clock = Clock::default();
        assert_eq!((clock.forward(), clock.forward()), (1, 2));
        clock.adjust(40);
        assert_eq!(clock.value(), 41);
        clock.adjust(5);
        clock.adjust(u64::MAX);
        assert_eq!(clock.value(), 43);
    }
}
