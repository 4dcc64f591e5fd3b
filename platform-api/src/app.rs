//! Assembles platform-api: `build` binds, `run` serves and drains.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use charging::Db;
use charging::chargers::sweeper;
use charging::events::relay;
use http_server::server::Bound;
use platform_queue::EventPublisher;
use service_runtime::exit::Failure;
use service_runtime::metrics::Exposition;
use store::Store;
use task_queue::Broker;
use tokio_util::sync::CancellationToken;

use authorization::AclAdmin;
use authorization::config::BrokerConfig;

use crate::accounts::{self, Parts, WaitingResets};
use crate::config::Config;
use crate::core_sync;
use crate::live::Live;
use crate::openapi;
use crate::routes::routes;

/// How long acl-service may take for one change of a request.
const ACL_LIMIT: Duration = Duration::from_secs(25);
/// The same for the bridge, which repeats what got no answer.
const BRIDGE_LIMIT: Duration = Duration::from_secs(5);

/// The clients of acl-service.
struct AclClients {
    /// Of requests.
    requests: AclAdmin,
    /// Of the bridge.
    bridge: AclAdmin,
}

/// The service, bound but not yet serving.
pub struct App {
    bound: Bound,
    db: Db,
    broker: Arc<dyn Broker>,
    broker_config: BrokerConfig,
    live_streams: usize,
    accounts: Parts,
    resets: WaitingResets,
    acl: AclClients,
    grace: Duration,
}

impl App {
    /// Binds, and prepares the sign-in of accounts: the first one, and the keys of access tokens.
    ///
    /// # Errors
    /// Returns an error if the port is taken, or the database cannot be used.
    pub async fn build(
        config: &Config,
        db: Db,
        store: &Store,
        broker: Arc<dyn Broker>,
    ) -> Result<Self, Failure> {
        let limit = config.database.startup_limit();
        accounts::first_admin(&config.accounts, &db, limit).await?;
        let parts = Parts::new(&config.accounts, &db, limit).await;
        let (parts, resets) =
            parts.map_err(|error| Failure::broken(format!("the keys of access tokens: {error}")))?;
        let verified = Arc::new(parts.verified(&db));
        let bound = Bound::to(config.bind, config.port)?
            .guarded_with_accounts(&config.server, Arc::clone(store.keys()), verified)
            .documented(&openapi::document());
        Ok(Self {
            bound,
            db,
            broker,
            broker_config: config.broker.clone(),
            live_streams: config.live_streams,
            accounts: parts,
            resets,
            acl: AclClients {
                requests: acl_admin(config, ACL_LIMIT)?,
                bridge: acl_admin(config, BRIDGE_LIMIT)?,
            },
            grace: config.grace,
        })
    }

    /// Adds `GET /metrics`.
    #[must_use]
    pub fn with_metrics(self, exposition: Exposition) -> Self {
        Self { bound: self.bound.with_metrics(Some(exposition)), ..self }
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.bound.address()
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        self.bound.scheme()
    }

    /// Serves until `shutdown`, then ends the live streams and finishes the requests in flight. Events that are written by
    /// then are published by the next process.
    ///
    /// # Errors
    /// Returns an error if the server broke, or the broker did not come back.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Failure> {
        let live = Live::new(self.db.clone(), self.live_streams, shutdown.child_token());
        let relay_stops = CancellationToken::new();
        let publisher = EventPublisher::on(&*self.broker);
        // On the heap: the futures of transactions are too deep for the compiler inside that of `voltgate up`.
        let relaying = Box::pin(relay::run(&self.db, publisher, live.written(), relay_stops.clone()));
        let resets_stop = CancellationToken::new();
        let resetting = Box::pin(self.resets.carry_out(&self.db, resets_stop.clone()));
        let bridge = core_sync::run(&self.db, &self.acl.bridge, live.changed(), relay_stops.clone());
        let bridging = Box::pin(bridge);
        // Where no gateway is left, no other process notices it.
        let sweeping = Box::pin(sweeper::run(&self.db, relay_stops.clone()));
        let serving = async {
            let admin = self.acl.requests.clone();
            let routes = routes(self.db.clone(), live.clone(), self.accounts.clone(), admin);
            let serving = self.bound.serve("platform-api", routes, self.grace, shutdown);
            let served = tokio::select! {
                served = serving => served,
                () = self.db.watch() => Ok(()),
                () = live.feed() => Ok(()),
                lost = self.broker_config.lost(&self.broker) => Err(lost),
            };
            relay_stops.cancel();
            resets_stop.cancel();
            served
        };
        let (served, (), (), (), ()) = tokio::join!(serving, relaying, resetting, bridging, sweeping);
        served
    }
}

fn acl_admin(config: &Config, limit: Duration) -> Result<AclAdmin, Failure> {
    let admin = AclAdmin::new(config.acl_service.clone(), &config.acl_access, limit);
    admin.map_err(|error| Failure::broken(format!("the client of acl-service: {error}")))
}
