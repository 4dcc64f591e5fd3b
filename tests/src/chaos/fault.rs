//! The faults, and the schedule that a seed makes of them.

use std::fmt;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

/// Number of instances of each service.
pub(super) const APIS: usize = 2;
pub(super) const ACLS: usize = 2;
pub(super) const WORKERS: usize = 3;
/// A shorter run injects faults faster, to cover every kind.
const SHORT: Duration = Duration::from_secs(120);

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

pub(super) const ALL: [Kind; 21] = [
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

/// One planned fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Planned {
    /// When it begins, from the beginning of the run.
    pub(super) at: Duration,
    pub(super) kind: Kind,
    /// Which instance of the service.
    pub(super) member: usize,
    /// How long it lasts.
    pub(super) span: Duration,
}

impl Planned {
    pub(super) fn part(&self) -> Part {
        match self.kind {
            Kind::Killed(service) | Kind::Restarted(service) => Part::Process(service, self.member),
            Kind::Frozen | Kind::Skewed => Part::Process(Service::Worker, self.member),
            Kind::BrokerKilled | Kind::BrokerFrozen => Part::Broker,
            Kind::RedisKilled => Part::Redis,
            Kind::Link(way, _) => Part::Link(way),
        }
    }

    /// The end, including the time for starting again.
    fn end(&self) -> Duration {
        let starting = match self.kind {
            Kind::BrokerKilled => 10,
            Kind::Killed(_) | Kind::Restarted(_) | Kind::Skewed => 2,
            _ => 0,
        };
        self.at + self.span + Duration::from_secs(starting)
    }
}

/// The faults of a run: every kind occurs before any occurs again. They run in two lanes, so that two overlap at times;
/// in a short run they nearly always do.
pub(super) fn schedule(seed: u64, length: Duration) -> Vec<Planned> {
    let mut rng = SmallRng::seed_from_u64(seed);
    let short = length < SHORT;
    let gaps = if short { [200..=600, 200..=600] } else { [1_000..=4_000, 15_000..=45_000] };
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
        Kind::Restarted(_) => (0, 100),
        Kind::Killed(_) | Kind::RedisKilled | Kind::BrokerKilled => (100, 2_500),
        Kind::Frozen => (12_000, 15_000),
        Kind::Skewed => (3_000, 8_000),
        Kind::BrokerFrozen | Kind::Link(..) => (1_500, 8_000),
    };
    let most = if short { least + (most - least) / 6 } else { most };
    let members = match kind {
        Kind::Killed(Service::Api) | Kind::Restarted(Service::Api) => APIS,
        Kind::Killed(Service::Acl) | Kind::Restarted(Service::Acl) => ACLS,
        _ => WORKERS,
    };
    let span = Duration::from_millis(rng.random_range(least..=most));
    Planned { at, kind, member: rng.random_range(0..members), span }
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

    #[test]
    fn a_seed_always_makes_the_same_schedule_and_another_seed_another() {
        let length = Duration::from_secs(600);
        assert_eq!(schedule(7, length), schedule(7, length));
        assert_ne!(schedule(7, length), schedule(8, length));
    }

    #[test]
    fn every_kind_comes_up_and_all_are_mended_before_the_end() {
        for seed in 0..50 {
            for seconds in [60, 600] {
                let length = Duration::from_secs(seconds);
                let planned = schedule(seed, length);
                let missing = ALL.iter().filter(|kind| !planned.iter().any(|fault| fault.kind == **kind));
                assert!(missing.count() <= 2, "seed {seed}, {seconds} s: {planned:?}");
                assert!(planned.iter().all(|fault| fault.end() <= length));
            }
        }
    }
}
