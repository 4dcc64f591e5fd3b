//! The one list of tasks, and what they share.

mod authorize;
mod deliver_callback;
mod delivery;

use std::sync::Arc;

use authorization_queue::AuthorizationQueue;
use common::clock::StartTimes;
use store::Store;
use task_queue::Tasks;
use task_queue::task::DuplicateTask;

use crate::acl_client::AclClient;
use crate::callback::CallbackClient;
use crate::callback::origin_limits::OriginLimits;
use crate::callback::standing::Standings;
use crate::config::{CallbackConfig, Config};
use crate::error::WorkerError;

/// What tasks work with.
pub(crate) struct Parts {
    acl: AclClient,
    callbacks: CallbackClient,
    origins: OriginLimits,
    pub(crate) standings: Standings,
    callback_config: CallbackConfig,
    store: Store,
    queue: AuthorizationQueue,
    start_times: StartTimes,
}

impl Parts {
    pub(crate) fn new(config: &Config, store: Store, queue: AuthorizationQueue) -> Result<Self, WorkerError> {
        Ok(Self {
            acl: AclClient::new(config.acl_service.clone(), &config.acl_access)?,
            callbacks: CallbackClient::new(config)?,
            origins: OriginLimits::new(config.concurrency, config.callback.timeout),
            standings: Standings::new(Arc::clone(&store.keyed), &config.callback),
            callback_config: config.callback,
            store,
            queue,
            start_times: StartTimes::default(),
        })
    }
}

/// Every task that this worker runs.
pub(crate) fn list(parts: Parts) -> Result<Tasks, DuplicateTask> {
    let parts = Arc::new(parts);
    Tasks::default()
        .register(authorize::AuthorizeTask { parts: Arc::clone(&parts) })?
        .register(deliver_callback::DeliverCallbackTask { parts })
}
