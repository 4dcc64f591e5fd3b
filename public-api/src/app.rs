//! public-api put together: `build` binds, `run` serves and drains.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use authorization_queue::AuthorizationQueue;
use common::exit::Failure;
use http_api::server::Bound;
use store::Store;
use task_queue::Broker;
use tokio_util::sync::CancellationToken;

use crate::acceptance::Acceptance;
use crate::config::Config;
use crate::routes::routes;

/// The service, bound and not yet serving.
pub struct App {
    bound: Bound,
    acceptance: Acceptance,
    grace: Duration,
}

impl App {
    /// Binds.
    ///
    /// # Errors
    /// The port is taken.
    pub fn build(config: &Config, store: Store, broker: Arc<dyn Broker>) -> Result<Self, Failure> {
        let acceptance = Acceptance {
            queue: AuthorizationQueue::new(broker, &config.broker.task_queue),
            store,
            guard: config.guard.clone(),
            timeout: config.authorization_timeout,
        };
        Ok(Self { bound: Bound::to(config.bind, config.port)?, acceptance, grace: config.grace })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.bound.address()
    }

    /// Serves until `shutdown`, then finishes what is in hand. The broker stays the caller's to close.
    ///
    /// # Errors
    /// The server broke.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Failure> {
        self.bound.serve(routes(self.acceptance), self.grace, shutdown).await
    }
}
