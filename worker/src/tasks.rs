//! The list of tasks, and what they share.

mod attempt_number;
mod authorize;
mod deliver_callback;
mod delivery;
pub(crate) mod platform;

use std::sync::Arc;

use authorization::{AclClient, AuthorizationQueue, Decider};
use store::Store;
use task_queue::Tasks;
use task_queue::task::DuplicateTask;

use crate::callback::CallbackClient;
use crate::callback::circuit_breaker::Breakers;
use crate::callback::origin_limits::OriginLimits;
use crate::config::{CallbackConfig, Config};
use crate::error::WorkerError;
pub(crate) use platform::PlatformParts;

/// The parts that tasks work with.
pub(crate) struct Parts {
    decider: Decider,
    callbacks: CallbackClient,
    origins: OriginLimits,
    pub(crate) breakers: Breakers,
    callback_config: CallbackConfig,
    store: Store,
    queue: AuthorizationQueue,
}

impl Parts {
    pub(crate) fn new(config: &Config, store: Store, queue: AuthorizationQueue) -> Result<Self, WorkerError> {
        let acl = AclClient::new(config.acl_service.clone(), &config.acl_access)?;
        Ok(Self {
            decider: Decider::new(acl, store.clone()),
            callbacks: CallbackClient::new(config)?,
            origins: OriginLimits::new(config.concurrency, config.callback.timeout),
            breakers: Breakers::new(Arc::clone(store.key_values()), &config.callback),
            callback_config: config.callback,
            store,
            queue,
        })
    }
}

/// Every task that this worker runs; those of the platform only with a database.
pub(crate) fn list(parts: Parts, platform: Option<PlatformParts>) -> Result<Tasks, DuplicateTask> {
    let parts = Arc::new(parts);
    let tasks = Tasks::default()
        .register(authorize::AuthorizeTask { parts: Arc::clone(&parts) })?
        .register(deliver_callback::DeliverCallbackTask { parts })?;
    match platform {
        Some(platform) => platform::register(tasks, &Arc::new(platform)),
        None => Ok(tasks),
    }
}
