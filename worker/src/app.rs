//! Assembles the worker: `build` binds its health port and creates its clients, `run` works and drains.

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use authorization::AuthorizationQueue;
use authorization::config::BrokerConfig;
use charging::Db;
use http_server::server::Bound;
use http_server::{Access, Problem};
use http_server::{Status, healthz, resource};
use platform_queue::PlatformQueue;
use service_runtime::exit::Failure;
use service_runtime::metrics::Exposition;
use store::{Store, Writes};
use task_queue::{Broker, Worker, WorkerConfig};
use tokio_util::sync::CancellationToken;

use crate::callback::circuit_breaker::Breakers;
use crate::config::{Config, PlatformConfig};
use crate::error::WorkerError;
use crate::mail;
use crate::scheduler::{self, Scheduler};
use crate::tasks::{self, Parts, PlatformParts};
use crate::{measurements, overdue};

/// The service, assembled and not yet running.
pub struct App {
    worker: Worker,
    broker: Arc<dyn Broker>,
    store: Store,
    queue: AuthorizationQueue,
    health: Option<Bound>,
    breakers: Breakers,
    broker_config: BrokerConfig,
    grace: Duration,
    platform: Option<Platform>,
}

/// What the platform needs besides its tasks.
struct Platform {
    db: Db,
    scheduler: Scheduler,
}

impl App {
    /// Creates the clients and binds the health port. With a database it takes the platform's tasks too, if they are
    /// configured.
    ///
    /// # Errors
    /// Returns an error if the port is taken or a client cannot be created.
    pub fn build(
        config: &Config,
        store: Store,
        broker: Arc<dyn Broker>,
        db: Option<Db>,
    ) -> Result<Self, Failure> {
        measurements::begin();
        let bind = |(address, port)| {
            Bound::to(address, port).map(|bound| bound.guarded(&config.server, Arc::clone(store.keys())))
        };
        let health = config.health.map(bind).transpose()?;
        let queue = AuthorizationQueue::new(Arc::clone(&broker), &config.broker.task_queue);
        let mut queues = vec![
            (queue.requests().to_owned(), config.concurrency),
            // Further attempts have their own slots, so that first attempts never wait for slots that failing hosts
            // occupy.
            (queue.callbacks().to_owned(), config.concurrency),
        ];
        let parts = Parts::new(config, store.clone(), queue.clone())?;
        let breakers = parts.breakers.clone();
        let platform = config.platform.as_ref().zip(db);
        if let Some((settings, _)) = &platform {
            queues.push((platform_queue::QUEUE.to_owned(), settings.concurrency));
        }
        let platform_parts =
            platform.as_ref().map(|(settings, db)| PlatformParts::new(settings, db.clone(), &*broker));
        let tasks = tasks::list(parts, platform_parts).map_err(WorkerError::from)?;
        let platform = platform.map(|(settings, db)| Platform::new(settings, db, &broker));
        let worker = Worker::new(Arc::clone(&broker), tasks, WorkerConfig { queues, grace: config.grace })
            .with_autoscale(config.autoscale)
            .with_control(config.control.clone());
        Ok(Self {
            worker,
            broker,
            store,
            queue,
            health,
            breakers,
            broker_config: config.broker.clone(),
            grace: config.grace,
            platform,
        })
    }

    /// Adds `GET /metrics` to the health port.
    #[must_use]
    pub fn with_metrics(self, exposition: Exposition) -> Self {
        Self { health: self.health.map(|bound| bound.with_metrics(Some(exposition))), ..self }
    }

    /// Works until `shutdown`, then finishes or requeues what is in flight. Closing the broker is left to the caller.
    ///
    /// # Errors
    /// Returns an error if the queue cannot be consumed, or the broker did not come back.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Failure> {
        let broker = self.broker;
        // If one of the two ends, it stops the other.
        let stop = shutdown.child_token();
        let health = async {
            let served = match self.health {
                Some(bound) => {
                    let routes = health_routes(Arc::clone(&broker), self.store.clone());
                    bound.serve("worker", routes, self.grace, stop.clone()).await
                }
                None => return Ok(()),
            };
            stop.cancel();
            served
        };
        let work = async {
            let worked = self.worker.run(stop.clone()).await;
            stop.cancel();
            worked.map_err(WorkerError::from).map_err(Failure::from)
        };
        // On the heap: the futures of transactions are too deep for the compiler inside that of `voltgate up`.
        let schedule = Box::pin(async {
            if let Some(platform) = &self.platform {
                platform.scheduler.run(&platform.db, stop.clone()).await;
            }
        });
        let watch_database = Box::pin(async {
            match &self.platform {
                Some(platform) => {
                    tokio::join!(platform.db.watch(), mail::watch(&platform.db));
                }
                None => std::future::pending().await,
            }
        });
        tokio::select! {
            (worked, served, ()) = async { tokio::join!(work, health, schedule) } => worked.and(served),
            () = watch_database => Ok(()),
            () = measurements::watch(&self.breakers) => Ok(()),
            () = overdue::watch(&self.store, &self.queue) => Ok(()),
            () = self.store.watch(Writes::Records) => Ok(()),
            lost = self.broker_config.lost(&broker) => Err(lost),
        }
    }
}

impl Platform {
    fn new(config: &PlatformConfig, db: Db, broker: &Arc<dyn Broker>) -> Self {
        let queue = PlatformQueue::new(Arc::clone(broker));
        Self { db, scheduler: Scheduler::new(scheduler::PERIODIC, queue, config.tick) }
    }
}

fn health_routes(broker: Arc<dyn Broker>, store: Store) -> impl Fn(&mut ServiceConfig) + Clone {
    let broker: Data<dyn Broker> = Data::from(broker);
    let store = Data::new(store);
    move |config| {
        config.app_data(broker.clone()).app_data(store.clone()).service(healthz()).service(
            resource("/readyz", &[("GET, HEAD", Access::Open)])
                .route(web::get().to(readyz))
                .route(web::head().to(readyz)),
        );
    }
}

async fn readyz(broker: Data<dyn Broker>, store: Data<Store>) -> Result<HttpResponse, Problem> {
    let refused = |field, detail| Err(Problem::unavailable(field, detail, Duration::from_secs(1)));
    if let Some(why) = broker.unready() {
        return refused("task_queue", why);
    }
    if let Err(error) = store.key_values().probe(Writes::Records).await {
        tracing::warn!(%error, "no decision can be recorded");
        return refused("store", "no decision can be recorded");
    }
    Ok(HttpResponse::Ok().json(Status::READY))
}
