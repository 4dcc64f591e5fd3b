//! Random numbers that are the same on every machine and in every release, unlike those of a library.

use uuid::Uuid;

/// 2026-01-01T00:00:00Z. Ids begin with it, so that they grow with the index, and what is created by hand follows.
const EPOCH_MS: u64 = 1_767_225_600_000;

/// A sequence of numbers (SplitMix64).
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    /// The sequence of one thing: the seed of the network, the kind of thing, and its index.
    pub(super) fn of(seed: u64, kind: &str, index: u64) -> Self {
        let mut random = Self(seed);
        for byte in kind.bytes() {
            random.0 = random.number() ^ u64::from(byte);
        }
        random.0 = random.number() ^ index;
        random
    }

    pub(super) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, or 0.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        u64::try_from((u128::from(self.number()) * u128::from(end)) >> 64).unwrap_or_default()
    }

    /// A number from `from` to `to`, both included.
    pub(super) fn between(&mut self, from: i64, to: i64) -> i64 {
        let span = u64::try_from(to - from).unwrap_or_default();
        from + i64::try_from(self.below(span + 1)).unwrap_or_default()
    }

    /// Whether something happens that happens in this many of a hundred cases.
    pub(super) fn happens(&mut self, of_hundred: u64) -> bool {
        self.below(100) < of_hundred
    }

    /// The index of a weight, drawn by the weights.
    pub(super) fn weighted(&mut self, weights: impl Iterator<Item = u64> + Clone) -> usize {
        let mut left = self.below(weights.clone().sum());
        for (index, weight) in weights.enumerate() {
            if left < weight {
                return index;
            }
            left -= weight;
        }
        0
    }

    /// One of these; the list must not be empty.
    pub(super) fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[usize::try_from(self.below(all.len() as u64)).unwrap_or_default()]
    }

    /// An id that grows with `index`.
    pub(super) fn id(&mut self, index: u64) -> Uuid {
        let mut random = [0; 10];
        random[..8].copy_from_slice(&self.number().to_be_bytes());
        random[8..].copy_from_slice(&self.number().to_be_bytes()[..2]);
        uuid::Builder::from_unix_timestamp_millis(EPOCH_MS + index, &random).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_is_that_of_its_seed_kind_and_index() {
        let first = |seed, kind, index| Random::of(seed, kind, index).number();
        let one = first(1, "site", 0);
        assert_eq!(one, first(1, "site", 0));
        for other in [first(2, "site", 0), first(1, "status", 0), first(1, "site", 1)] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn numbers_stay_within_their_bounds_and_reach_them() {
        let mut random = Random::of(1, "bounds", 0);
        let drawn: Vec<i64> = (0..1000).map(|_| random.between(-2, 2)).collect();
        assert_eq!((drawn.iter().min(), drawn.iter().max()), (Some(&-2), Some(&2)));
        let drawn: Vec<usize> = (0..1000).map(|_| random.weighted([0, 1, 3].into_iter())).collect();
        let count = |wanted| drawn.iter().filter(|index| **index == wanted).count();
        assert!(count(0) == 0 && count(1) > 150 && count(2) > 600, "{} {}", count(1), count(2));
    }

    #[test]
    fn ids_grow_with_the_index() {
        let ids: Vec<Uuid> = (0..100).map(|index| Random::of(1, "site", index).id(index)).collect();
        assert!(ids.is_sorted() && ids[0].get_version_num() == 7);
    }
}
