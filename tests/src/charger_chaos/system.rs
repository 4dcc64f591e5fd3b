//! The system that the faults are injected into: private servers, two gateways, and what they need.

use std::path::Path;
use std::sync::{Arc, Mutex};

use charging::Db;
use charging::tokens;
use serde_json::json;
use test_servers::{Postgres, RabbitMq, Redis};

use super::fault::{GATEWAYS, NETWORKS, Part, Service};
use crate::PATIENCE;
use crate::deployment::Deployment;
use crate::faults::member::{Member, NOWHERE, Staff};
use crate::link::Link;
use crate::servers::Servers;

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
    pub(super) staff: Staff<Service, Part>,
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
            Member::new(Service::Acl, 0, &deployment, vec![(to_acl, 0)], logs),
            Member::new(Service::Platform, 0, &deployment, Vec::new(), logs),
        ];
        for number in 0..GATEWAYS {
            let fronts = networks.iter().map(|network| (Arc::clone(network), number)).collect();
            members.push(Member::new(Service::Gateway, number, &for_gateways, fronts, logs));
        }
        let parts = [Part::Broker, Part::Redis, Part::Database, Part::Chargers].into_iter();
        let parts = parts.chain((0..NETWORKS).map(Part::Network));
        let staff = Staff::start(members, Part::Process, parts).await;
        Self {
            broker: Arc::new(Mutex::new(broker)),
            redis: Arc::new(Mutex::new(redis)),
            postgres: Arc::new(Mutex::new(postgres)),
            db,
            to_database,
            networks,
            staff,
        }
    }
}
