//! The system that the faults are injected into: private servers, several instances of each
//! service, and links between them.

use std::path::Path;
use std::sync::{Arc, Mutex};

use test_servers::{RabbitMq, Redis, packages};

use super::fault::{ACLS, APIS, Part, Service, WORKERS, Way};
use crate::deployment::Deployment;
use crate::faults::member::{Member, NOWHERE, Staff};
use crate::link::Link;
use crate::servers::Servers;

/// How far the clocks of two hosts may differ, and by how much a worker's is set wrong.
pub(super) const SKEW_SECS: i64 = 2;

const SETTINGS: [(&str, &str); 8] = [
    ("AUTHORIZATION_TIMEOUT_SEC", "5"),
    ("CALLBACK_TIMEOUT_SEC", "1"),
    ("CALLBACK_WINDOW_SEC", "40"),
    ("CALLBACK_MAX_ATTEMPTS", "5"),
    ("RECOVERY_TIMEOUT_SEC", "120"),
    // A process may start while its broker is restarting.
    ("STARTUP_TIMEOUT_SEC", "60"),
    ("WORKER_CONCURRENCY", "40"),
    ("LOG_LEVEL", "info,worker=debug,public_api=debug"),
];

/// The links of the system.
type Ways = [(Way, Arc<Link>); 4];

#[derive(Debug)]
pub(super) struct System {
    pub(super) broker: Arc<Mutex<RabbitMq>>,
    pub(super) redis: Arc<Mutex<Redis>>,
    /// Connects directly to the servers, for test code that is not part of the system.
    pub(super) deployment: Deployment,
    /// The URLs that clients use.
    pub(super) api_urls: Vec<String>,
    ways: Ways,
    pub(super) staff: Staff<Service, Part>,
}

impl System {
    pub(super) async fn start(broker: RabbitMq, redis: Redis, servers: Servers, logs: &Path) -> Self {
        let mut deployment = Deployment::on(servers).await;
        for (name, value) in SETTINGS {
            deployment = deployment.with(name, value);
        }
        let to_acl = Arc::new(Link::to(NOWHERE).await);
        deployment = deployment.with("AUTHORIZATION_SERVICE_URL", to_acl.through(NOWHERE));
        let url = |name: &str| deployment.environment[name].clone();
        let ways = [
            (Way::ApiToBroker, Arc::new(Link::to(&url("BROKER_URL")).await)),
            (Way::WorkerToBroker, Arc::new(Link::to(&url("BROKER_URL")).await)),
            (Way::WorkerToRedis, Arc::new(Link::to(&url("REDIS_URL")).await)),
            (Way::WorkerToAcl, to_acl),
        ];
        let (members, api_urls) = members(&deployment, &ways, logs).await;
        let links = ways.each_ref().map(|(way, _)| Part::Link(*way));
        let parts = [Part::Broker, Part::Redis].into_iter().chain(links);
        Self {
            broker: Arc::new(Mutex::new(broker)),
            redis: Arc::new(Mutex::new(redis)),
            deployment,
            api_urls,
            ways,
            staff: Staff::start(members, Part::Process, parts).await,
        }
    }

    pub(super) fn way(&self, way: Way) -> &Link {
        link_of(&self.ways, way)
    }
}

/// The instances of each service, which are not started yet, and the URLs that clients use.
async fn members(deployment: &Deployment, ways: &Ways, logs: &Path) -> (Vec<Member<Service>>, Vec<String>) {
    let way = |way| link_of(ways, way);
    let for_worker = deployment
        .through("BROKER_URL", way(Way::WorkerToBroker))
        .through("REDIS_URL", way(Way::WorkerToRedis));
    let for_api = deployment.through("BROKER_URL", way(Way::ApiToBroker));
    let (mut members, mut api_urls) = (Vec::new(), Vec::new());
    for number in 0..ACLS {
        let front = (Arc::clone(way(Way::WorkerToAcl)), number);
        members.push(Member::new(Service::Acl, number, deployment, vec![front], logs));
    }
    for number in 0..APIS {
        let front = Arc::new(Link::to(NOWHERE).await);
        api_urls.push(front.through(NOWHERE));
        members.push(Member::new(Service::Api, number, &for_api, vec![(front, 0)], logs));
    }
    for number in 0..WORKERS {
        let deployment = for_worker.clone().with("WORKER_HOSTNAME", format!("celery@worker-{number}"));
        members.push(Member::new(Service::Worker, number, &deployment, Vec::new(), logs));
    }
    (members, api_urls)
}

fn link_of(ways: &Ways, way: Way) -> &Arc<Link> {
    &ways.iter().find(|(name, _)| *name == way).expect("every way has a link").1
}

/// Starts a worker with a clock that is wrong by this many seconds. Returns an error if that has no effect.
pub(super) async fn start_with_clock_ahead(worker: &Member<Service>, seconds: i64) -> Result<(), String> {
    let library = packages::libfaketime().map_err(|error| format!("{error:#}"))?;
    let settings = [
        ("LD_PRELOAD", library.display().to_string()),
        ("FAKETIME", format!("{seconds:+}s")),
        // Versions of the library use different names. Without this, waits would not take their real time.
        ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ];
    worker.start_with(&settings.map(|(name, value)| (name.to_owned(), value)).into()).await;
    match worker.clock_ahead() {
        Some(ahead) if (ahead - seconds).abs() <= 1 => Ok(()),
        ahead => Err(format!("a worker's clock should be {seconds} s ahead and is {ahead:?}")),
    }
}
