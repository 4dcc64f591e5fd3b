//! The faults, and the schedule that a seed makes of them.

use std::fmt;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

/// Number of gateways.
pub(super) const GATEWAYS: usize = 2;
/// Number of networks, over which the chargers reach them.
pub(super) const NETWORKS: usize = 2;
/// One in this number of chargers has a mishap at a time.
pub(super) const ONE_IN: usize = 4;
/// A shorter run injects faults faster, to cover every kind.
const SHORT: Duration = Duration::from_secs(120);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    Gateway,
    Acl,
    Platform,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    Cut,
    Silent,
}

/// What happens to a charger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mishap {
    /// A second socket under its name is opened.
    Twice,
    /// Its clock jumps.
    Clock,
    /// It loses its memory, and its meter.
    Exchanged,
    /// Its connection is reset.
    Cut,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Killed(Service),
    Restarted(Service),
    /// Stops a gateway; in a long run for longer than its lease.
    Frozen,
    BrokerKilled,
    RedisKilled,
    DatabaseKilled,
    DatabaseFrozen,
    Database(Trouble),
    /// The way of half of the chargers. If it is silent, some of them give their sockets up, and these stay half open.
    Network(Trouble),
    Charger(Mishap),
}

pub(super) const ALL: [Kind; 18] = [
    Kind::Killed(Service::Gateway),
    Kind::Killed(Service::Acl),
    Kind::Killed(Service::Platform),
    Kind::Restarted(Service::Gateway),
    Kind::Restarted(Service::Platform),
    Kind::Frozen,
    Kind::BrokerKilled,
    Kind::RedisKilled,
    Kind::DatabaseKilled,
    Kind::DatabaseFrozen,
    Kind::Database(Trouble::Cut),
    Kind::Database(Trouble::Silent),
    Kind::Network(Trouble::Cut),
    Kind::Network(Trouble::Silent),
    Kind::Charger(Mishap::Twice),
    Kind::Charger(Mishap::Clock),
    Kind::Charger(Mishap::Exchanged),
    Kind::Charger(Mishap::Cut),
];

/// The part that a fault affects; two faults of the same part do not overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Process(Service, usize),
    Broker,
    Redis,
    Database,
    Network(usize),
    Chargers,
}

/// One planned fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Planned {
    /// When it begins, from the beginning of the run.
    pub(super) at: Duration,
    pub(super) kind: Kind,
    /// Which gateway, network or group of chargers.
    pub(super) member: usize,
    /// How long it lasts.
    pub(super) span: Duration,
}

impl Planned {
    pub(super) fn part(&self) -> Part {
        match self.kind {
            Kind::Killed(service) | Kind::Restarted(service) => Part::Process(service, self.member),
            Kind::Frozen => Part::Process(Service::Gateway, self.member),
            Kind::BrokerKilled => Part::Broker,
            Kind::RedisKilled => Part::Redis,
            Kind::DatabaseKilled | Kind::DatabaseFrozen | Kind::Database(_) => Part::Database,
            Kind::Network(_) => Part::Network(self.member),
            Kind::Charger(_) => Part::Chargers,
        }
    }

    /// The end, including the time for starting again.
    fn end(&self) -> Duration {
        let starting = match self.kind {
            Kind::BrokerKilled => 8,
            Kind::Killed(_) | Kind::Restarted(_) | Kind::DatabaseKilled => 2,
            _ => 0,
        };
        self.at + self.span + Duration::from_secs(starting)
    }
}

/// The faults of a run: every kind occurs before any occurs again. They run in two lanes, so that two overlap at times.
pub(super) fn schedule(seed: u64, length: Duration) -> Vec<Planned> {
    let mut rng = SmallRng::seed_from_u64(seed);
    let short = length < SHORT;
    let gaps = if short { [100..=400, 100..=400] } else { [1_000..=4_000, 10_000..=30_000] };
    let mut lanes = gaps.each_ref().map(|gap| Duration::from_millis(rng.random_range(gap.clone())));
    let (mut deck, mut planned): (Vec<Kind>, Vec<Planned>) = (Vec::new(), Vec::new());
    loop {
        let lane = usize::from(lanes[1] < lanes[0]);
        if lanes[lane] >= length {
            return planned;
        }
        if deck.is_empty() {
            deck.extend(ALL);
            deck.shuffle(&mut rng);
        }
        let next = deck.remove(0);
        let fault = draw(next, lanes[lane], short, &mut rng);
        if planned.iter().any(|other| other.part() == fault.part() && other.end() > fault.at) {
            deck.push(next);
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

fn draw(kind: Kind, at: Duration, short: bool, rng: &mut SmallRng) -> Planned {
    let (least, most) = match kind {
        Kind::Restarted(_) | Kind::Charger(_) => (0, 500),
        Kind::Killed(_) | Kind::BrokerKilled | Kind::RedisKilled | Kind::DatabaseKilled => (100, 5_000),
        Kind::Frozen if !short => (5_000, 25_000),
        Kind::Frozen | Kind::DatabaseFrozen | Kind::Database(_) | Kind::Network(_) => (1_000, 12_000),
    };
    let most = if short { least + (most - least) / 8 } else { most };
    let members = match kind {
        Kind::Killed(Service::Gateway) | Kind::Restarted(Service::Gateway) | Kind::Frozen => GATEWAYS,
        Kind::Network(_) => NETWORKS,
        Kind::Charger(_) => ONE_IN,
        _ => 1,
    };
    let span = Duration::from_millis(rng.random_range(least..=most));
    Planned { at, kind, member: rng.random_range(0..members), span }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Killed(Service::Gateway) => "ocpp-gateway killed",
            Self::Killed(Service::Acl) => "acl-service killed",
            Self::Killed(Service::Platform) => "platform-api killed",
            Self::Restarted(Service::Gateway) => "ocpp-gateway restarted",
            Self::Restarted(Service::Acl) => "acl-service restarted",
            Self::Restarted(Service::Platform) => "platform-api restarted",
            Self::Frozen => "ocpp-gateway frozen",
            Self::BrokerKilled => "broker killed",
            Self::RedisKilled => "Redis killed",
            Self::DatabaseKilled => "database killed",
            Self::DatabaseFrozen => "database frozen",
            Self::Database(Trouble::Cut) => "gateways to database cut",
            Self::Database(Trouble::Silent) => "gateways to database silent",
            Self::Network(Trouble::Cut) => "chargers to gateways cut",
            Self::Network(Trouble::Silent) => "chargers to gateways silent",
            Self::Charger(Mishap::Twice) => "two sockets of a charger",
            Self::Charger(Mishap::Clock) => "clocks of chargers jump",
            Self::Charger(Mishap::Exchanged) => "chargers exchanged",
            Self::Charger(Mishap::Cut) => "sockets of chargers reset",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_makes_the_same_schedule_and_another_seed_another() {
        let length = Duration::from_secs(600);
        assert_eq!(schedule(7, length), schedule(7, length));
        assert_ne!(schedule(7, length), schedule(8, length));
    }

    #[test]
    fn every_kind_comes_up_in_a_long_run_and_all_are_mended_before_the_end() {
        for seed in 0..50 {
            for seconds in [20, 600] {
                let length = Duration::from_secs(seconds);
                let planned = schedule(seed, length);
                let missing = ALL.iter().filter(|kind| !planned.iter().any(|fault| fault.kind == **kind));
                assert!(missing.count() <= if seconds == 600 { 2 } else { 10 }, "seed {seed}: {planned:?}");
                assert!(planned.iter().all(|fault| fault.end() <= length));
            }
        }
    }
}
