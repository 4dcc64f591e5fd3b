//! Assembles public-api: `build` binds, `run` serves and drains.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ::metrics::histogram;
use authorization::AuthorizationQueue;
use authorization::config::BrokerConfig;
use common::webhook_signature::WebhookSigner;
use http_server::server::Bound;
use service_runtime::exit::Failure;
use service_runtime::metrics::Exposition;
use store::{Store, Writes};
use task_queue::Broker;
use tokio_util::sync::CancellationToken;

use crate::acceptance::Acceptance;
use crate::charge_service::AccessEntries;
use crate::config::Config;
use crate::decisions::Decisions;
use crate::queue_age::QueueAge;
use crate::routes::routes;
use crate::{gauges, openapi};

/// The route's name in the metrics.
const TO_AUTHORIZE: &str = "/station/{station_id}/driver/{driver_token}/authorize";

/// The service, bound but not yet serving.
pub struct App {
    bound: Bound,
    acceptance: Acceptance,
    charge_service: Option<AccessEntries>,
    signer: WebhookSigner,
    broker: BrokerConfig,
    grace: Duration,
}

impl App {
    /// Binds.
    ///
    /// # Errors
    /// Returns an error if the port is taken.
    pub fn build(config: &Config, store: Store, broker: Arc<dyn Broker>) -> Result<Self, Failure> {
        let bound = Bound::to(config.bind, config.port)?
            .guarded(&config.server, Arc::clone(store.keys()))
            .documented(&openapi::document(config.charge_service.is_some()));
        let acceptance = Acceptance {
            queue: AuthorizationQueue::new(broker, &config.broker.task_queue),
            store,
            guard: config.guard.clone(),
            timeout: config.authorization_timeout,
            queue_age: Arc::new(QueueAge::new(config.authorization_timeout)),
            notes: Arc::default(),
            start_times: Arc::default(),
        };
        let charge_service = config.charge_service.as_ref().map(AccessEntries::new).transpose()?;
        let (signer, broker) = (config.signer.clone(), config.broker.clone());
        // An alert evaluates the duration of these requests, and has to see the first ones.
        drop(
            histogram!(http_server::metrics::HTTP_REQUEST, "service" => "public-api", "route" => TO_AUTHORIZE),
        );
        Ok(Self { bound, acceptance, charge_service, signer, broker, grace: config.grace })
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

    /// Serves until `shutdown`, then finishes the requests in flight. The caller closes the broker.
    ///
    /// # Errors
    /// Returns an error if the server broke, or the broker did not come back.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Failure> {
        let acceptance = self.acceptance.clone();
        let broker = acceptance.queue.broker();
        let decisions = Arc::new(Decisions::new(acceptance.store.clone(), shutdown.clone()));
        let routes = routes(self.acceptance, self.signer, Arc::clone(&decisions), self.charge_service);
        let ran = tokio::select! {
            served = self.bound.serve("public-api", routes, self.grace, shutdown) => served,
            lost = self.broker.lost(broker) => Err(lost),
            () = gauges::watch(&acceptance.queue, &acceptance.queue_age) => Ok(()),
            () = acceptance.queue_age.watch(&acceptance.queue, &acceptance.store) => Ok(()),
            () = acceptance.notes.write(&acceptance.store) => Ok(()),
            () = decisions.poll() => Ok(()),
            () = acceptance.store.watch(Writes::Notes) => Ok(()),
        };
        acceptance.notes.finish(&acceptance.store).await;
        ran
    }
}
