//! Which index buckets recently had their expiry set, so that not every entry sets it again.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A power of two. If more buckets than this are in use, some have their expiry set more often.
const SLOTS: usize = 1 << 15;
/// A bucket's expiry is set again after this time, in case Redis was flushed. It is less than the length of the
/// shortest bucket, which is an hour: an entry that enters a bucket within the bucket's length after its expiry was set
/// is kept for long enough.
const AGAIN_AFTER: Duration = Duration::from_secs(600);

/// Each bucket maps to one slot of a fixed-size table. The slot holds the last bucket whose expiry was set.
pub(super) struct Expiries {
    told: Box<[AtomicU64]>,
    since: Instant,
}

/// A bucket at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark(u64);

impl Default for Expiries {
    fn default() -> Self {
        Self { told: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(), since: Instant::now() }
    }
}

impl Expiries {
    /// The mark to record once the expiry is set; `None` if it was set recently.
    pub(super) fn due(&self, bucket: &str) -> Option<Mark> {
        let mut hasher = DefaultHasher::new();
        (bucket, self.since.elapsed().as_secs() / AGAIN_AFTER.as_secs()).hash(&mut hasher);
        let mark = hasher.finish();
        (self.slot(mark).load(Ordering::Relaxed) != mark).then_some(Mark(mark))
    }

    /// Records the mark after Redis has confirmed the expiry.
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
