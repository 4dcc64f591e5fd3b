//! Why a worker cannot be assembled, or has to stop.

use common::error_chain::BoxError;
use service_runtime::exit::Failure;
use task_queue::BrokerError;
use task_queue::task::DuplicateTask;

/// Why a worker stops.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkerError {
    /// Two tasks were registered under the same name.
    #[error(transparent)]
    Tasks(#[from] DuplicateTask),
    /// The client for callbacks or for acl-service could not be created.
    #[error("the HTTP client cannot be created: {0}")]
    Client(#[from] reqwest::Error),
    /// The resolver could not be created.
    #[error("the name resolver cannot be created: {0}")]
    Resolver(#[source] BoxError),
    /// The queue cannot be consumed.
    #[error("the queue cannot be consumed: {0}")]
    Queue(#[from] BrokerError),
}

impl From<WorkerError> for Failure {
    fn from(error: WorkerError) -> Self {
        Self::broken(error)
    }
}
