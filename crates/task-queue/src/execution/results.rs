//! The results of tasks whose callers want them. A result is stored before its task is acknowledged, however long that
//! takes.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::in_flight::InFlight;
use crate::backoff::{Backoff, ShuttingDown};
use crate::broker::Broker;
use crate::node::Node;
use crate::protocol::Signature;
use crate::result_backend::{ResultBackend, TaskMeta, TaskState};
use crate::task::Failure;

#[derive(Debug)]
pub(crate) struct Results {
    pub(crate) backend: ResultBackend,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) cancel: CancellationToken,
    /// The node on which a task begins.
    pub(crate) node: Node,
}

impl Results {
    pub(super) async fn started(&self, task: &InFlight) -> Result<(), ShuttingDown> {
        if !task.declared.track_started {
            return Ok(());
        }
        let by = json!({"pid": std::process::id(), "hostname": self.node.as_str()});
        self.keep(task, |meta| TaskMeta { status: TaskState::Started, result: by, ..meta }).await
    }

    pub(super) async fn succeeded(
        &self,
        task: &InFlight,
        result: &Value,
        children: &[String],
    ) -> Result<(), ShuttingDown> {
        let (result, children) = (result.clone(), children.to_vec());
        self.keep(task, |meta| TaskMeta { status: TaskState::Success, result, children, ..meta }).await
    }

    pub(super) async fn retried(&self, task: &InFlight, failure: &Failure) -> Result<(), ShuttingDown> {
        self.keep(task, |meta| meta.of_failure(TaskState::Retry, failure)).await
    }

    pub(super) async fn revoked(&self, task: &InFlight, reason: &str) -> Result<(), ShuttingDown> {
        let failure = Failure::of("celery.exceptions", "TaskRevokedError", vec![reason.into()]);
        self.keep(task, |meta| meta.of_failure(TaskState::Revoked, &failure)).await
    }

    /// The rest of its chain or chord fails with it, or a client that waits for the end of that chain or chord would
    /// wait for ever. The last one is stored first, so that a client that sees the failure sees it there too.
    pub(super) async fn failed(&self, task: &InFlight, failure: &Failure) -> Result<(), ShuttingDown> {
        if task.wants_result() {
            let after = task.request.chord.iter().chain(&task.request.chain);
            for next in after.filter_map(TaskMeta::of_signature) {
                self.store(&next.of_failure(TaskState::Failure, failure)).await?;
            }
        }
        self.keep(task, |meta| meta.of_failure(TaskState::Failure, failure)).await
    }

    async fn keep(
        &self,
        task: &InFlight,
        say: impl FnOnce(TaskMeta) -> TaskMeta,
    ) -> Result<(), ShuttingDown> {
        if !task.wants_result() {
            return Ok(());
        }
        self.store(&say(TaskMeta::of_task(task))).await
    }

    async fn store(&self, meta: &TaskMeta) -> Result<(), ShuttingDown> {
        let mut backoff = Backoff::of_outcomes();
        while let Err(error) = self.backend.store(&self.broker, meta).await {
            tracing::warn!(id = meta.task_id, %error, "a result is not stored yet; storing it again");
            backoff.wait(&self.cancel).await?;
        }
        Ok(())
    }
}

impl InFlight {
    /// The caller's choice, or else the task's.
    fn wants_result(&self) -> bool {
        !self.request.ignore_result.unwrap_or(self.declared.ignore_result)
    }
}

impl TaskMeta {
    fn of_task(task: &InFlight) -> Self {
        let request = &task.request;
        Self {
            task_id: request.id.clone(),
            status: TaskState::Success,
            result: Value::Null,
            traceback: None,
            children: Vec::new(),
            group_id: request.group.clone(),
            parent_id: request.parent_id.clone(),
            reply_to: request.reply_to.clone(),
            correlation_id: request.correlation_id.clone(),
        }
    }

    /// For a task that was not published: a client can only wait for it if its id is known already.
    fn of_signature(call: &Signature) -> Option<Self> {
        let text = |option: &str| call.options.get(option)?.as_str().map(str::to_owned);
        Some(Self {
            task_id: text("task_id")?,
            status: TaskState::Failure,
            result: Value::Null,
            traceback: None,
            children: Vec::new(),
            group_id: text("group_id"),
            parent_id: None,
            reply_to: text("reply_to"),
            correlation_id: None,
        })
    }

    fn of_failure(self, status: TaskState, failure: &Failure) -> Self {
        let Failure { exc_type, exc_module, exc_message, traceback } = failure.clone();
        let result = json!({"exc_type": exc_type, "exc_message": exc_message, "exc_module": exc_module});
        Self { status, result, traceback, ..self }
    }
}
