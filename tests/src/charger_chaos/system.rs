//! The system that the faults are injected into: private servers, two gateways, and what they need.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use charging::Db;
use charging::tokens;
use serde_json::json;
use test_servers::{Postgres, RabbitMq, Redis};
use tokio::sync::Mutex as Turn;

use super::fault::{GATEWAYS, NETWORKS, Part, Service};
use crate::PATIENCE;
use crate::deployment::Deployment;
use crate::link::Link;
use crate::process::Process;
use crate::servers::Servers;

/// Target of a link until what it leads to listens.
const NOWHERE: &str = "http://127.0.0.1:1";
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A card that is always accepted, and one that needs a decision, which is never positive.
pub(super) const CARDS: [(&str, &str); 2] = [("CARD-ALWAYS", "always"), ("CARD-OFFLINE", "allowed_offline")];

const SETTINGS: [(&str, &str); 6] = [
    ("OCPP_ALLOW_OPEN", "true"),
    ("OCPP_PING_SEC", "1"),
    ("OCPP_AUTHORIZE_TIMEOUT_SEC", "1"),
    // A process may start while its database is starting.
    ("STARTUP_TIMEOUT_SEC", "60"),
    ("SHUTDOWN_GRACE_SEC", "1"),
    ("LOG_LEVEL", "info,ocpp_gateway=debug"),
];

#[derive(Debug)]
pub(super) struct System {
    pub(super) broker: Arc<Mutex<RabbitMq>>,
    pub(super) redis: Arc<Mutex<Redis>>,
    pub(super) postgres: Arc<Mutex<Postgres>>,
    /// Connects directly to the server.
    pub(super) db: Db,
    pub(super) to_database: Link,
    /// Each leads to the gateways in turn.
    pub(super) networks: Vec<Arc<Link>>,
    members: Vec<Member>,
    /// Allows one fault at a time for each part.
    turns: Vec<(Part, Turn<()>)>,
    /// What must not happen.
    complaints: Mutex<Vec<String>>,
}

/// One instance of a service: a process and those that replace it.
#[derive(Debug)]
pub(super) struct Member {
    service: Service,
    number: usize,
    deployment: Deployment,
    /// How others reach it.
    fronts: Vec<Arc<Link>>,
    logs: PathBuf,
    /// `None` while a fault controls it.
    process: Mutex<Option<Process>>,
}

impl System {
    pub(super) async fn start(broker: RabbitMq, redis: Redis, servers: Servers, logs: &Path) -> Self {
        let directory = logs.join("postgres");
        let postgres = tokio::task::spawn_blocking(move || Postgres::start(&directory).unwrap());
        let postgres = postgres.await.unwrap();
        let url = format!("{}/postgres", postgres.url());
        let db = Db::connect(&url, 5, PATIENCE).await.expect("PostgreSQL answers");
        for (card, whitelist) in CARDS {
            let draft = json!({"id_tag": card, "whitelist": whitelist});
            let draft = serde_json::from_value(draft).expect("a token");
            db.write(async |tx| tokens::create(tx, &draft, None).await).await.expect("it is created");
        }
        let mut deployment = Deployment::on(servers).await.with("DATABASE_URL", &url);
        for (name, value) in SETTINGS {
            deployment = deployment.with(name, value);
        }
        let to_acl = Arc::new(Link::to(NOWHERE).await);
        deployment = deployment.with("AUTHORIZATION_SERVICE_URL", to_acl.through(NOWHERE));
        let to_database = Link::to(&url).await;
        let mut networks = Vec::new();
        for _ in 0..NETWORKS {
            networks.push(Arc::new(Link::to(NOWHERE).await));
        }
        let for_gateways = deployment.through("DATABASE_URL", &to_database);
        let mut members = vec![
            Member::new(Service::Acl, 0, &deployment, vec![to_acl], logs),
            Member::new(Service::Platform, 0, &deployment, Vec::new(), logs),
        ];
        for number in 0..GATEWAYS {
            members.push(Member::new(Service::Gateway, number, &for_gateways, networks.clone(), logs));
        }
        let parts = [Part::Broker, Part::Redis, Part::Database, Part::Chargers].into_iter();
        let parts = parts.chain((0..NETWORKS).map(Part::Network));
        let parts = parts.chain(members.iter().map(|member| Part::Process(member.service, member.number)));
        let turns = parts.map(|part| (part, Turn::default())).collect();
        for member in &members {
            member.start().await;
        }
        Self {
            broker: Arc::new(Mutex::new(broker)),
            redis: Arc::new(Mutex::new(redis)),
            postgres: Arc::new(Mutex::new(postgres)),
            db,
            to_database,
            networks,
            members,
            turns,
            complaints: Mutex::default(),
        }
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

    pub(super) fn take_complaints(&self) -> Vec<String> {
        std::mem::take(&mut *self.complaints.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Complains of every process that exits on its own, and starts it again, so that the run continues.
    pub(super) async fn watch(&self) {
        loop {
            for member in &self.members {
                if let Some(how) = member.ended_on_its_own() {
                    self.complain(how);
                    member.start().await;
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Member {
    fn new(
        service: Service,
        number: usize,
        deployment: &Deployment,
        fronts: Vec<Arc<Link>>,
        logs: &Path,
    ) -> Self {
        let (deployment, logs) = (deployment.clone(), logs.to_owned());
        Self { service, number, deployment, fronts, logs, process: Mutex::default() }
    }

    /// Starts it; returns when it is ready.
    pub(super) async fn start(&self) {
        let program = match self.service {
            Service::Gateway => "ocpp-gateway",
            Service::Acl => "acl-service",
            Service::Platform => "platform-api",
        };
        let prefix = format!("{program}-{}.", self.number);
        let log = tempfile::Builder::new()
            .prefix(&prefix)
            .suffix(".log")
            .disable_cleanup(true)
            .tempfile_in(&self.logs);
        let log = log.expect("a file for the log");
        let mut process = Process::start_with_log(program, &[], &self.deployment.environment, log);
        let address = process.logged("address").await;
        for front in &self.fronts {
            front.lead(self.number, &format!("http://{address}"));
        }
        *self.process() = Some(process);
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
        let (service, number) = (self.service, self.number);
        Some(format!("{service:?} {number} ended on its own with {status}:\n{}", process.log_tail()))
    }
}
