//! Assembles acl-service: `build` binds, `run` serves and drains.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_server::server::Bound;
use service_runtime::exit::Failure;
use service_runtime::metrics::Exposition;
use store::{AccessStore, Store};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::routes::routes;
use crate::{openapi, scheduler};

/// The service, bound but not yet serving.
pub struct App {
    bound: Bound,
    store: AccessStore,
    grace: Duration,
}

impl App {
    /// Binds.
    ///
    /// # Errors
    /// Returns an error if the port is taken.
    pub fn build(config: &Config, store: &Store) -> Result<Self, Failure> {
        let bound = Bound::to(config.bind, config.port)?
            .guarded(&config.server, Arc::clone(store.keys()))
            .documented(&openapi::document());
        Ok(Self { bound, store: store.access_lists().clone(), grace: config.grace })
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

    /// Serves until `shutdown`, then finishes the requests in flight.
    ///
    /// # Errors
    /// Returns an error if the server broke.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Failure> {
        let scheduler_stops = shutdown.child_token();
        let serving = async {
            let serving = self.bound.serve("acl-service", routes(self.store.clone()), self.grace, shutdown);
            let served = tokio::select! {
                served = serving => served,
                () = self.store.watch() => Ok(()),
            };
            scheduler_stops.cancel();
            served
        };
        let (served, ()) = tokio::join!(serving, scheduler::run(&self.store, scheduler_stops.clone()));
        served
    }
}
