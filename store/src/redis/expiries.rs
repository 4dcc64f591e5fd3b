//! Which buckets of the index were told lately when they expire, so that not every entry tells its bucket again.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A power of two. More buckets than this at a time, and some are told more often.
const SLOTS: usize = 1 << 15;
/// A bucket is told again after this, in case somebody has emptied Redis behind our back. Less than the shortest one's length,
/// which is an hour: what comes into a bucket within its length after it was told is kept for long enough.
const AGAIN_AFTER: Duration = Duration::from_secs(600);

/// Each bucket has one place in a table of fixed size, which the last one that was told holds.
pub(super) struct Expiries {
    told: Box<[AtomicU64]>,
    since: Instant,
}

/// A bucket at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark(u64);

impl Default for Expiries {
    fn default() -> Self {
        Self { told: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(), since: Instant::now() }
    }
}

impl Expiries {
    /// What is to be noted once the bucket is told; nothing where it was told lately.
    pub(super) fn due(&self, bucket: &str) -> Option<Mark> {
        let mut hasher = DefaultHasher::new();
        (bucket, self.since.elapsed().as_secs() / AGAIN_AFTER.as_secs()).hash(&mut hasher);
        let mark = hasher.finish();
        (self.slot(mark).load(Ordering::Relaxed) != mark).then_some(Mark(mark))
    }

    /// Redis has said yes to it.
    pub(super) fn told(&self, Mark(mark): Mark) {
        self.slot(mark).store(mark, Ordering::Relaxed);
    }

    pub(super) fn forget(&self) {
        self.told.iter().for_each(|slot| slot.store(0, Ordering::Relaxed));
    }

    fn slot(&self, mark: u64) -> &AtomicU64 {
        // The remainder is smaller than the table.
        &self.told[(mark % SLOTS as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_told_until_redis_has_said_yes_and_anew_after_a_failure() {
        let expiries = Expiries::default();
        let mark = expiries.due("by-station").unwrap();
        assert_eq!(expiries.due("by-station"), Some(mark));
        expiries.told(mark);
        assert_eq!(expiries.due("by-station"), None);
        assert!(expiries.due("by-driver").is_some());
        expiries.forget();
        assert_eq!(expiries.due("by-station"), Some(mark));
    }
}
