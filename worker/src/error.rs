//! Why a worker cannot be put together, or has to stop.

use service_runtime::exit::Failure;
use task_queue::BrokerError;
use task_queue::task::DuplicateTask;

/// What stops a worker.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkerError {
    /// A mistake in the list of tasks.
    #[error(transparent)]
    Tasks(#[from] DuplicateTask),
    /// The client for callbacks or for acl-service could not be made.
    #[error("the HTTP client cannot be made: {0}")]
    Client(#[from] reqwest::Error),
    /// The resolver could not be made.
    #[error("the name resolver cannot be made: {0}")]
    Resolver(String),
    /// The queue cannot be consumed.
    #[error("the queue cannot be consumed: {0}")]
    Queue(#[from] BrokerError),
}

impl From<WorkerError> for Failure {
    fn from(error: WorkerError) -> Self {
        Self::Broken(error.to_string())
    }
}
