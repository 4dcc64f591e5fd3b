//! Assembles ocpp-gateway: `build` binds, `run` serves and drains.

use std::net::SocketAddr;
use std::sync::Arc;

use authorization::AclClient;
use charging::Db;
use charging::chargers::sweeper;
use http_server::server::Bound;
use service_runtime::exit::Failure;
use service_runtime::metrics::Exposition;
use store::Store;
use tokio_util::sync::CancellationToken;

use crate::authorize::Authorizer;
use crate::config::Config;
use crate::feed;
use crate::message_log::{Frames, MessageLog};
use crate::node::Node;
use crate::routes::routes;
use crate::tags::Tags;
use crate::vendors::Vendors;
use crate::writer::{Orders, Writer};
use crate::{measurements, open_files};

/// How many transactions of reports run at once. SQLite has one writer anyway.
const WRITERS: usize = 4;

/// The service, bound but not yet serving.
pub struct App {
    bound: Bound,
    node: Node,
    orders: Orders,
    frames: Frames,
    /// Cancelled when decisions need no longer be recorded.
    given_up: CancellationToken,
}

impl App {
    /// Binds.
    ///
    /// # Errors
    /// Returns an error if the port is taken, or a client cannot be created.
    pub fn build(config: &Config, db: Db, store: &Store) -> Result<Self, Failure> {
        measurements::begin();
        let acl = AclClient::new(config.acl_service.clone(), &config.acl_access);
        let acl = acl.map_err(|error| Failure::broken(format!("the client of acl-service: {error}")))?;
        let mut ocpp = config.ocpp.clone();
        // 503 instead of an error of the operating system.
        ocpp.max_sockets = open_files::raise(ocpp.max_sockets);
        let (writer, orders) = Writer::new(if matches!(db, Db::Lite(_)) { 1 } else { WRITERS });
        let (log, frames) = MessageLog::new(ocpp.keeps_messages);
        let given_up = CancellationToken::new();
        let authorizer = Authorizer::new(
            Tags::new(db.clone()),
            store.clone(),
            acl,
            ocpp.authorize_limit,
            ocpp.token_prefix.clone(),
            given_up.clone(),
        );
        let bound = Bound::to(config.bind, config.port)?.guarded(&config.server, Arc::clone(store.keys()));
        let bound = bound.beside_tls(&config.server, config.tls_port, &config.clients)?;
        let vendors = Vendors::new(ocpp.handlers.clone(), config.acl_access.authorities.as_deref());
        let vendors =
            vendors.map_err(|error| Failure::broken(format!("the client for data of vendors: {error}")))?;
        let node = Node::new(ocpp, db, (writer, log, authorizer, vendors), config.grace);
        Ok(Self { bound, node, orders, frames, given_up })
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

    /// The address for chargers that connect over TLS.
    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.bound.tls_address()
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        self.bound.scheme()
    }

    /// Serves until `shutdown`, then closes the sockets, carries out what was read, and ends the lease of this node.
    ///
    /// # Errors
    /// Returns an error if the server broke.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Failure> {
        let Self { bound, node, orders, frames, given_up } = self;
        let node = Arc::new(node);
        let grace = node.grace;
        let db = node.db.clone();
        let done = CancellationToken::new();
        let sockets = Arc::clone(&node);
        let serving = async {
            let stopping = node.stopping.clone();
            let ends = async {
                shutdown.clone().cancelled_owned().await;
                stopping.cancel();
            };
            let serving = bound.serve("ocpp-gateway", routes(sockets), grace, shutdown.clone());
            let served = tokio::select! {
                (served, ()) = async { tokio::join!(serving, ends) } => served,
                () = db.watch() => Ok(()),
            };
            node.stopping.cancel();
            node.tasks.close();
            if tokio::time::timeout(grace, node.tasks.wait()).await.is_err() {
                tracing::warn!(
                    "some chargers' messages could not be finished in time; the chargers repeat them"
                );
            }
            given_up.cancel();
            if tokio::time::timeout(grace, node.authorizer.finish()).await.is_err() {
                tracing::warn!("some decisions could not be recorded in time");
            }
            done.cancel();
            served
        };
        let written = CancellationToken::new();
        let working = async {
            let keeping = Box::pin(node.keep_lease(done.clone()));
            let hearing = Box::pin(feed::hear(Arc::clone(&node), done.clone()));
            let sweeping = Box::pin(sweeper::run(&node.db, done.clone()));
            let (served, (), (), ()) = tokio::join!(serving, keeping, hearing, sweeping);
            node.end_lease().await;
            written.cancel();
            served
        };
        let reports = Box::pin(orders.carry_out(db.clone(), written.clone()));
        let messages = Box::pin(frames.store(db.clone(), written.clone()));
        let (served, (), ()) = tokio::join!(working, reports, messages);
        served
    }
}
