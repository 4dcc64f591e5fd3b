//! The schedule of faults that a seed makes.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

/// A shorter run injects faults faster, to cover every kind.
const SHORT: Duration = Duration::from_secs(120);

/// The faults of a suite.
pub(crate) trait Kind: Copy + fmt::Debug + fmt::Display + PartialEq + Send + Sync + 'static {
    /// What a fault affects; two faults of the same part do not overlap.
    type Part: Copy + fmt::Debug + PartialEq + Send + Sync;

    const ALL: &'static [Self];

    /// The pauses of the two lanes in milliseconds.
    fn gaps(short: bool) -> [RangeInclusive<u64>; 2];

    /// How long it lasts, in milliseconds.
    fn span(self, short: bool) -> RangeInclusive<u64>;

    /// How many there are that it may befall.
    fn members(self) -> usize;

    /// What it affects.
    fn part(self, member: usize) -> Self::Part;

    /// How long it takes to start again what it affects.
    fn starting(self) -> Duration;
}

/// One planned fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Planned<K> {
    /// When it begins, from the beginning of the run.
    pub(crate) at: Duration,
    pub(crate) kind: K,
    /// Which of those that it may befall.
    pub(crate) member: usize,
    /// How long it lasts.
    pub(crate) span: Duration,
}

impl<K: Kind> Planned<K> {
    pub(crate) fn part(&self) -> K::Part {
        self.kind.part(self.member)
    }

    /// The end, including the time for starting again.
    pub(crate) fn end(&self) -> Duration {
        self.at + self.span + self.kind.starting()
    }
}

/// The faults of a run: every kind occurs before any occurs again. They run in two lanes, so that two overlap at times;
/// in a short run they nearly always do.
pub(crate) fn schedule<K: Kind>(seed: u64, length: Duration) -> Vec<Planned<K>> {
    let mut rng = SmallRng::seed_from_u64(seed);
    let short = length < SHORT;
    let gaps = K::gaps(short);
    let mut lanes = gaps.each_ref().map(|gap| Duration::from_millis(rng.random_range(gap.clone())));
    let (mut deck, mut planned): (Vec<K>, Vec<Planned<K>>) = (Vec::new(), Vec::new());
    loop {
        let lane = usize::from(lanes[1] < lanes[0]);
        if lanes[lane] >= length {
            return planned;
        }
        if deck.is_empty() {
            deck.extend(K::ALL);
            deck.shuffle(&mut rng);
        }
        let kind = deck.remove(0);
        let span = Duration::from_millis(rng.random_range(kind.span(short)));
        let fault = Planned { at: lanes[lane], kind, member: rng.random_range(0..kind.members()), span };
        if planned.iter().any(|other| other.part() == fault.part() && other.end() > fault.at) {
            deck.push(kind);
            lanes[lane] += Duration::from_millis(100);
            continue;
        }
        let gap = Duration::from_millis(rng.random_range(gaps[lane].clone()));
        lanes[lane] = fault.end() + gap;
        if fault.end() <= length {
            planned.push(fault);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A seed always makes the same schedule, and another seed another.
    pub(crate) fn a_seed_makes_one_schedule<K: Kind>() {
        let length = Duration::from_secs(600);
        assert_eq!(schedule::<K>(7, length), schedule::<K>(7, length));
        assert_ne!(schedule::<K>(7, length), schedule::<K>(8, length));
    }

    /// In runs of each length at most so many kinds are missing, and all faults have ended before the end.
    pub(crate) fn kinds_come_up_and_are_mended<K: Kind>(lengths: [(u64, usize); 2]) {
        for seed in 0..50 {
            for (seconds, missing_at_most) in lengths {
                let length = Duration::from_secs(seconds);
                let planned = schedule::<K>(seed, length);
                let missing = K::ALL.iter().filter(|kind| !planned.iter().any(|fault| fault.kind == **kind));
                assert!(missing.count() <= missing_at_most, "seed {seed}, {seconds} s: {planned:?}");
                assert!(planned.iter().all(|fault| fault.end() <= length));
            }
        }
    }
}
