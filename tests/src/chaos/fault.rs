//! The faults, and what they affect.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::faults::member;
use crate::faults::schedule;

/// Number of instances of each service.
pub(super) const APIS: usize = 2;
pub(super) const ACLS: usize = 2;
pub(super) const WORKERS: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    Api,
    Acl,
    Worker,
}

/// A link of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    ApiToBroker,
    WorkerToBroker,
    WorkerToRedis,
    WorkerToAcl,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    Cut,
    Silent,
    Slow,
    Erring,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Killed(Service),
    Restarted(Service),
    /// Stops a worker for longer than the broker's heartbeat timeout: its in-flight
    /// deliveries are redelivered meanwhile.
    Frozen,
    Skewed,
    BrokerKilled,
    BrokerFrozen,
    RedisKilled,
    Link(Way, Trouble),
}

const ALL: &[Kind] = &[
    Kind::Killed(Service::Worker),
    Kind::Killed(Service::Api),
    Kind::Killed(Service::Acl),
    Kind::Restarted(Service::Worker),
    Kind::Restarted(Service::Api),
    Kind::Restarted(Service::Acl),
    Kind::Frozen,
    Kind::Skewed,
    Kind::BrokerKilled,
    Kind::BrokerFrozen,
    Kind::RedisKilled,
    Kind::Link(Way::ApiToBroker, Trouble::Cut),
    Kind::Link(Way::ApiToBroker, Trouble::Silent),
    Kind::Link(Way::WorkerToBroker, Trouble::Cut),
    Kind::Link(Way::WorkerToBroker, Trouble::Silent),
    Kind::Link(Way::WorkerToRedis, Trouble::Cut),
    Kind::Link(Way::WorkerToRedis, Trouble::Silent),
    Kind::Link(Way::WorkerToAcl, Trouble::Cut),
    Kind::Link(Way::WorkerToAcl, Trouble::Silent),
    Kind::Link(Way::WorkerToAcl, Trouble::Slow),
    Kind::Link(Way::WorkerToAcl, Trouble::Erring),
];

/// The part that a fault affects; two faults of the same part do not overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Process(Service, usize),
    Broker,
    Redis,
    Link(Way),
}

impl member::Service for Service {
    fn program(self) -> (&'static str, &'static str) {
        match self {
            Self::Api => ("public-api", "address"),
            Self::Acl => ("acl-service", "address"),
            Self::Worker => ("worker", "queue"),
        }
    }
}

impl schedule::Kind for Kind {
    type Part = Part;

    const ALL: &'static [Self] = ALL;

    fn gaps(short: bool) -> [RangeInclusive<u64>; 2] {
        if short { [200..=600, 200..=600] } else { [1_000..=4_000, 15_000..=45_000] }
    }

    fn span(self, short: bool) -> RangeInclusive<u64> {
        let (least, most) = match self {
            Self::Restarted(_) => (0, 100),
            Self::Killed(_) | Self::RedisKilled | Self::BrokerKilled => (100, 2_500),
            Self::Frozen => (12_000, 15_000),
            Self::Skewed => (3_000, 8_000),
            Self::BrokerFrozen | Self::Link(..) => (1_500, 8_000),
        };
        least..=if short { least + (most - least) / 6 } else { most }
    }

    fn members(self) -> usize {
        match self {
            Self::Killed(Service::Api) | Self::Restarted(Service::Api) => APIS,
            Self::Killed(Service::Acl) | Self::Restarted(Service::Acl) => ACLS,
            _ => WORKERS,
        }
    }

    fn part(self, member: usize) -> Part {
        match self {
            Self::Killed(service) | Self::Restarted(service) => Part::Process(service, member),
            Self::Frozen | Self::Skewed => Part::Process(Service::Worker, member),
            Self::BrokerKilled | Self::BrokerFrozen => Part::Broker,
            Self::RedisKilled => Part::Redis,
            Self::Link(way, _) => Part::Link(way),
        }
    }

    fn starting(self) -> Duration {
        Duration::from_secs(match self {
            Self::BrokerKilled => 10,
            Self::Killed(_) | Self::Restarted(_) | Self::Skewed => 2,
            _ => 0,
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Killed(Service::Api) => "public-api killed",
            Self::Killed(Service::Acl) => "acl-service killed",
            Self::Killed(Service::Worker) => "worker killed",
            Self::Restarted(Service::Api) => "public-api restarted",
            Self::Restarted(Service::Acl) => "acl-service restarted",
            Self::Restarted(Service::Worker) => "worker restarted",
            Self::Frozen => "worker frozen",
            Self::Skewed => "worker's clock wrong",
            Self::BrokerKilled => "broker killed",
            Self::BrokerFrozen => "broker frozen",
            Self::RedisKilled => "Redis killed",
            Self::Link(way, trouble) => return write!(f, "{way} {trouble}"),
        };
        f.pad(name)
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ApiToBroker => "public-api to broker",
            Self::WorkerToBroker => "worker to broker",
            Self::WorkerToRedis => "worker to Redis",
            Self::WorkerToAcl => "worker to acl-service",
        })
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cut => "cut",
            Self::Silent => "silent",
            Self::Slow => "slow",
            Self::Erring => "erring",
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
    fn every_kind_comes_up_and_all_are_mended_before_the_end() {
        kinds_come_up_and_are_mended::<Kind>([(60, 2), (600, 2)]);
    }
}
