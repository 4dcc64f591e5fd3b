//! Where results are stored, for the tasks that want them. A URL selects Redis, as Celery's clients read it, or
//! `rpc://`, which sends each result to the caller as a message.

mod redis;
mod rpc;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::broker::BoxError;
use crate::broker::{Broker, PublishError};
use crate::timestamp::Timestamp;
use redis::RedisBackend;

/// Celery's `result_expires`: how long a result is kept.
const RESULT_EXPIRES: Duration = Duration::from_secs(24 * 3600);

/// The backend that stores results.
#[derive(Debug, Clone, Default)]
pub enum ResultBackend {
    /// Results are not stored.
    #[default]
    Disabled,
    /// Stored under `celery-task-meta-<id>`, and published to the channel of the same name.
    Redis(RedisBackend),
    /// Sent to the caller's reply queue, over the broker that the task came from.
    Rpc,
}

/// Why a result was not stored.
#[derive(Debug, thiserror::Error)]
pub enum ResultError {
    /// The URL names no known backend.
    #[error("expected redis://…, rpc:// or disabled://")]
    BadUrl,
    /// Redis cannot be reached or rejects the command.
    #[error(transparent)]
    Unavailable(BoxError),
    /// The caller's queue cannot be published to.
    #[error(transparent)]
    Unpublished(#[from] PublishError),
}

/// Celery's task states that a result may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Started,
    Retry,
    Success,
    Failure,
    Revoked,
}

/// The stored state of a task: Celery's `task_meta`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TaskMeta {
    pub(crate) task_id: String,
    pub(crate) status: State,
    /// The return value, or the exception.
    pub(crate) result: Value,
    pub(crate) traceback: Option<String>,
    /// The ids of the tasks that follow from it.
    pub(crate) children: Vec<String>,
    pub(crate) group_id: Option<String>,
    pub(crate) parent_id: Option<String>,
    /// The caller's reply queue; `correlation_id` is the id by which the caller knows the task.
    pub(crate) reply_to: Option<String>,
    pub(crate) correlation_id: Option<String>,
}

impl ResultError {
    fn unavailable(why: impl Into<BoxError>) -> Self {
        Self::Unavailable(why.into())
    }
}

impl ResultBackend {
    /// The backend of this URL. It connects when the first result is stored. If the server is unavailable then, the
    /// result waits, with its task in flight.
    ///
    /// # Errors
    /// Returns [`ResultError::BadUrl`] if the URL names no known backend.
    pub fn open(url: &str) -> Result<Self, ResultError> {
        match url {
            "" | "disabled://" | "disabled" => Ok(Self::Disabled),
            "rpc://" | "rpc" => Ok(Self::Rpc),
            redis if redis.starts_with("redis://") => Ok(Self::Redis(RedisBackend::new(redis)?)),
            _ => Err(ResultError::BadUrl),
        }
    }

    /// Stores the result, unless a `SUCCESS` of the same task is stored already.
    pub(crate) async fn store(&self, broker: &Arc<dyn Broker>, meta: &TaskMeta) -> Result<(), ResultError> {
        match self {
            Self::Disabled => Ok(()),
            Self::Redis(backend) => backend.store(&meta.task_id, &meta.to_json(), RESULT_EXPIRES).await,
            Self::Rpc => rpc::send(broker, meta).await,
        }
    }

    /// Stores that a task is revoked, unless it has begun or ended. Does nothing over `rpc://`, where the caller's
    /// queue is not known.
    pub(crate) async fn revoke(&self, task_id: &str) -> Result<(), ResultError> {
        let Self::Redis(backend) = self else { return Ok(()) };
        let exception = json!({
            "exc_type": "TaskRevokedError", "exc_message": ["revoked"], "exc_module": "celery.exceptions",
        });
        let meta = TaskMeta {
            task_id: task_id.to_owned(),
            status: State::Revoked,
            result: exception,
            traceback: None,
            children: Vec::new(),
            group_id: None,
            parent_id: None,
            reply_to: None,
            correlation_id: None,
        };
        backend.store_unless_begun(task_id, &meta.to_json(), RESULT_EXPIRES).await
    }
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Started => "STARTED",
            Self::Retry => "RETRY",
            Self::Success => "SUCCESS",
            Self::Failure => "FAILURE",
            Self::Revoked => "REVOKED",
        }
    }

    fn is_ready(self) -> bool {
        matches!(self, Self::Success | Self::Failure | Self::Revoked)
    }
}

impl TaskMeta {
    /// The JSON that Celery writes.
    fn to_json(&self) -> String {
        let children: Vec<Value> = self.children.iter().map(|id| json!([[id, null], null])).collect();
        let done = self.status.is_ready().then(|| Timestamp::now().to_string());
        let mut meta = json!({
            "status": self.status.as_str(), "result": self.result, "traceback": self.traceback,
            "children": children, "date_done": done, "task_id": self.task_id,
        });
        for (name, id) in [("group_id", &self.group_id), ("parent_id", &self.parent_id)] {
            if let Some(id) = id {
                meta[name] = json!(id);
            }
        }
        meta.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_chooses_and_an_unknown_one_is_refused() {
        assert!(matches!(ResultBackend::open("redis://localhost:6379/1"), Ok(ResultBackend::Redis(_))));
        assert!(matches!(ResultBackend::open("rpc://"), Ok(ResultBackend::Rpc)));
        assert!(matches!(ResultBackend::open("disabled://"), Ok(ResultBackend::Disabled)));
        for url in
            ["amqp://localhost", "rediss://localhost", "db+sqlite:///x", "redis://", "redis://localhost:x"]
        {
            assert!(matches!(ResultBackend::open(url), Err(ResultError::BadUrl)), "{url}");
        }
    }
}
