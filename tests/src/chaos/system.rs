//! The system that the faults are injected into: private servers, several instances of each
//! service, and links between them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use test_servers::{RabbitMq, Redis, packages};
use tokio::sync::Mutex as Turn;

use super::fault::{ACLS, APIS, Part, Service, WORKERS, Way};
use crate::deployment::Deployment;
use crate::link::Link;
use crate::process::Process;
use crate::servers::Servers;

/// How far the clocks of two hosts may differ, and by how much a worker's is set wrong.
pub(super) const SKEW_SECS: i64 = 2;
/// Target of a link until the first instance of its service listens.
const NOWHERE: &str = "http://127.0.0.1:1";
const LOOK_EVERY: Duration = Duration::from_millis(500);

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

#[derive(Debug)]
pub(super) struct System {
    pub(super) broker: Arc<Mutex<RabbitMq>>,
    pub(super) redis: Arc<Mutex<Redis>>,
    /// Connects directly to the servers, for test code that is not part of the system.
    pub(super) deployment: Deployment,
    /// The URLs that clients use.
    pub(super) api_urls: Vec<String>,
    ways: [(Way, Arc<Link>); 4],
    members: Vec<Member>,
    /// Allows one fault at a time for each part.
    turns: Vec<(Part, Turn<()>)>,
    /// Events that must not happen to a process.
    pub(super) complaints: Mutex<Vec<String>>,
}

/// One instance of a service: a process and those that replace it.
#[derive(Debug)]
pub(super) struct Member {
    service: Service,
    number: usize,
    deployment: Deployment,
    /// How others reach it: a link, and the index of its target.
    front: Option<(Arc<Link>, usize)>,
    logs: PathBuf,
    /// `None` while a fault controls it.
    process: Mutex<Option<Process>>,
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
        let mut system = Self {
            broker: Arc::new(Mutex::new(broker)),
            redis: Arc::new(Mutex::new(redis)),
            deployment,
            api_urls: Vec::new(),
            ways,
            members: Vec::new(),
            turns: [Part::Broker, Part::Redis].map(|part| (part, Turn::default())).into(),
            complaints: Mutex::default(),
        };
        system.turns.extend(system.ways.each_ref().map(|(way, _)| (Part::Link(*way), Turn::default())));
        system.staff(logs).await;
        for member in &system.members {
            member.start(&BTreeMap::new()).await;
        }
        system
    }

    /// Creates the instances of each service, without starting them.
    async fn staff(&mut self, logs: &Path) {
        let for_worker = self
            .deployment
            .through("BROKER_URL", self.way(Way::WorkerToBroker))
            .through("REDIS_URL", self.way(Way::WorkerToRedis));
        let for_api = self.deployment.through("BROKER_URL", self.way(Way::ApiToBroker));
        let mut members = Vec::new();
        for number in 0..ACLS {
            let front = Some((Arc::clone(&self.ways[3].1), number));
            members.push((Service::Acl, number, self.deployment.clone(), front));
        }
        for number in 0..APIS {
            let front = Arc::new(Link::to(NOWHERE).await);
            self.api_urls.push(front.through(NOWHERE));
            members.push((Service::Api, number, for_api.clone(), Some((front, 0))));
        }
        for number in 0..WORKERS {
            let deployment = for_worker.clone().with("WORKER_HOSTNAME", format!("celery@worker-{number}"));
            members.push((Service::Worker, number, deployment, None));
        }
        for (service, number, deployment, front) in members {
            self.turns.push((Part::Process(service, number), Turn::default()));
            let (logs, process) = (logs.to_owned(), Mutex::default());
            self.members.push(Member { service, number, deployment, front, logs, process });
        }
    }

    pub(super) fn way(&self, way: Way) -> &Link {
        &self.ways.iter().find(|(name, _)| *name == way).expect("every way has a link").1
    }

    pub(super) fn member(&self, service: Service, number: usize) -> &Member {
        let mut members = self.members.iter();
        let found = members.find(|member| member.service == service && member.number == number);
        found.expect("the schedule knows how many there are")
    }

    pub(super) fn turn(&self, part: Part) -> &Turn<()> {
        &self.turns.iter().find(|(name, _)| *name == part).expect("every part has its turn").1
    }

    pub(super) fn complain(&self, what: String) {
        self.complaints.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    /// Complains of every process that exits on its own, and starts it again, so that the run continues.
    pub(super) async fn watch(&self) {
        loop {
            for member in &self.members {
                if let Some(how) = member.ended_on_its_own() {
                    self.complain(how);
                    member.start(&BTreeMap::new()).await;
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Member {
    /// Starts it with these settings in addition to its own; returns when it is ready.
    pub(super) async fn start(&self, settings: &BTreeMap<String, String>) {
        let (program, ready) = match self.service {
            Service::Api => ("public-api", "address"),
            Service::Acl => ("acl-service", "address"),
            Service::Worker => ("worker", "queue"),
        };
        let mut environment = self.deployment.environment.clone();
        environment.extend(settings.clone());
        let prefix = format!("{program}-{}.", self.number);
        let log = tempfile::Builder::new()
            .prefix(&prefix)
            .suffix(".log")
            .disable_cleanup(true)
            .tempfile_in(&self.logs);
        let mut process =
            Process::start_with_log(program, &[], &environment, log.expect("a file for the log"));
        let address = process.logged(ready).await;
        if let Some((link, place)) = &self.front {
            link.lead(*place, &format!("http://{address}"));
        }
        *self.process() = Some(process);
    }

    /// Starts it with a clock that is wrong by this many seconds. Returns an error if that has no effect.
    pub(super) async fn start_with_clock_ahead(&self, seconds: i64) -> Result<(), String> {
        let library = packages::libfaketime().map_err(|error| format!("{error:#}"))?;
        let settings = [
            ("LD_PRELOAD", library.display().to_string()),
            ("FAKETIME", format!("{seconds:+}s")),
            // Versions of the library use different names. Without this, waits would not take their real time.
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ];
        self.start(&settings.map(|(name, value)| (name.to_owned(), value)).into()).await;
        match self.process().as_ref().and_then(Process::clock_ahead) {
            Some(ahead) if (ahead - seconds).abs() <= 1 => Ok(()),
            ahead => Err(format!("a worker's clock should be {seconds} s ahead and is {ahead:?}")),
        }
    }

    /// Takes the process, so that it is no longer watched.
    pub(super) fn take(&self) -> Option<Process> {
        self.process().take()
    }

    pub(super) fn put_back(&self, process: Process) {
        *self.process() = Some(process);
    }

    fn process(&self) -> std::sync::MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended_on_its_own(&self) -> Option<String> {
        let mut held = self.process();
        let status = held.as_mut()?.exit_status()?;
        let process = held.take()?;
        Some(format!(
            "{:?} {} ended on its own with {status}:\n{}",
            self.service,
            self.number,
            process.log_tail()
        ))
    }
}
