//! The faults, and what they affect.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::faults::member;
use crate::faults::schedule;

/// Number of gateways.
pub(super) const GATEWAYS: usize = 2;
/// Number of networks, over which the chargers reach them.
pub(super) const NETWORKS: usize = 2;
/// One in this number of chargers has a mishap at a time.
pub(super) const ONE_IN: usize = 4;

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

const ALL: &[Kind] = &[
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

impl member::Service for Service {
    fn program(self) -> (&'static str, &'static str) {
        match self {
            Self::Gateway => ("ocpp-gateway", "address"),
            Self::Acl => ("acl-service", "address"),
            Self::Platform => ("platform-api", "address"),
        }
    }
}

impl schedule::Kind for Kind {
    type Part = Part;

    const ALL: &'static [Self] = ALL;

    fn gaps(short: bool) -> [RangeInclusive<u64>; 2] {
        if short { [100..=400, 100..=400] } else { [1_000..=4_000, 10_000..=30_000] }
    }

    fn span(self, short: bool) -> RangeInclusive<u64> {
        let (least, most) = match self {
            Self::Restarted(_) | Self::Charger(_) => (0, 500),
            Self::Killed(_) | Self::BrokerKilled | Self::RedisKilled | Self::DatabaseKilled => (100, 5_000),
            Self::Frozen if !short => (5_000, 25_000),
            Self::Frozen | Self::DatabaseFrozen | Self::Database(_) | Self::Network(_) => (1_000, 12_000),
        };
        least..=if short { least + (most - least) / 8 } else { most }
    }

    fn members(self) -> usize {
        match self {
            Self::Killed(Service::Gateway) | Self::Restarted(Service::Gateway) | Self::Frozen => GATEWAYS,
            Self::Network(_) => NETWORKS,
            Self::Charger(_) => ONE_IN,
            _ => 1,
        }
    }

    fn part(self, member: usize) -> Part {
        match self {
            Self::Killed(service) | Self::Restarted(service) => Part::Process(service, member),
            Self::Frozen => Part::Process(Service::Gateway, member),
            Self::BrokerKilled => Part::Broker,
            Self::RedisKilled => Part::Redis,
            Self::DatabaseKilled | Self::DatabaseFrozen | Self::Database(_) => Part::Database,
            Self::Network(_) => Part::Network(member),
            Self::Charger(_) => Part::Chargers,
        }
    }

    fn starting(self) -> Duration {
        Duration::from_secs(match self {
            Self::BrokerKilled => 8,
            Self::Killed(_) | Self::Restarted(_) | Self::DatabaseKilled => 2,
            _ => 0,
        })
    }
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
    use crate::faults::schedule::tests::{a_seed_makes_one_schedule, kinds_come_up_and_are_mended};

    #[test]
    fn a_seed_always_makes_the_same_schedule_and_another_seed_another() {
        a_seed_makes_one_schedule::<Kind>();
    }

    #[test]
    fn every_kind_comes_up_in_a_long_run_and_all_are_mended_before_the_end() {
        kinds_come_up_and_are_mended::<Kind>([(20, 10), (600, 2)]);
    }
}
