//! The states of a task in flight. Every delivery passes through here, and this is the only place that reports its
//! states: to the log, to the events and to the clients that wait for a result.

use std::sync::Arc;
use std::time::Duration;

use ::metrics::gauge;
use serde_json::{Value, json};

use super::in_flight::InFlight;
use super::registry::Registry;
use super::results::Results;
use crate::backoff::ShuttingDown;
use crate::events::Events;
use crate::metrics;
use crate::python::{short_repr, shortened};
use crate::task::{Failure, ShownArguments};
use crate::timestamp::Timestamp;

/// Why a task is not to be run any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Revocation {
    /// Whether it was running and was ended.
    pub(crate) terminated: bool,
    /// The signal that it was ended with.
    pub(crate) signum: Option<i32>,
    /// Whether it expired.
    pub(crate) expired: bool,
}

/// Reports each state. The order is: received, started, one of the ends, settled. A delivery that is requeued may be
/// settled without any of the others.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    pub(crate) results: Results,
    /// The tasks in flight.
    pub(crate) registry: Arc<Registry>,
    /// The events for monitors.
    pub(crate) events: Arc<Events>,
}

impl Lifecycle {
    /// It was received from the broker. It may have to wait for its `eta` or for a slot.
    pub(crate) fn received(&self, task: &InFlight) {
        tracing::debug!(id = task.id(), name = task.name(), queue = %task.queue, "received");
        self.registry.enter(task);
        gauge!(metrics::TASKS_IN_FLIGHT).increment(1.0);
        // A Python worker holds a task until its `eta`, and so reports it once.
        if task.was_postponed() {
            return;
        }
        self.events.task("task-received", || {
            let (request, shown) = (&task.request, ShownArguments::of(&task.request, &task.declared));
            let moment = |moment: Option<Timestamp>| moment.map(|moment| moment.to_string());
            json!({
                "uuid": request.id, "name": task.name(), "args": shown.argsrepr, "kwargs": shown.kwargsrepr,
                "root_id": request.root_id, "parent_id": request.parent_id, "retries": request.retries,
                "eta": moment(request.eta), "expires": moment(request.expires),
            })
        });
    }

    /// It begins to run.
    pub(crate) async fn started(&self, task: &InFlight) -> Result<(), ShuttingDown> {
        tracing::debug!(id = task.id(), name = task.name(), "started");
        self.registry.begin(task);
        self.results.started(task).await?;
        self.events.task("task-started", || json!({"uuid": task.request.id}));
        Ok(())
    }

    /// It returned this result. The tasks that follow from it (`link`, `chain`) are published already, under these ids.
    pub(crate) async fn succeeded(
        &self,
        task: &InFlight,
        result: &Value,
        runtime: Duration,
        children: &[String],
    ) -> Result<(), ShuttingDown> {
        tracing::debug!(id = task.id(), name = task.name(), ?runtime, "succeeded");
        self.results.succeeded(task, result, children).await?;
        self.events.task("task-succeeded", || {
            json!({"uuid": task.request.id, "result": short_repr(result), "runtime": runtime.as_secs_f64()})
        });
        Ok(())
    }

    /// It failed, or cannot be run at all. Its errbacks (`link_error`) are called or published already.
    pub(crate) async fn failed(&self, task: &InFlight, failure: &Failure) -> Result<(), ShuttingDown> {
        tracing::debug!(id = task.id(), name = task.name(), exc_type = failure.exc_type, "failed");
        self.results.failed(task, failure).await?;
        self.events.task("task-failed", || unsuccessful(task, failure));
        Ok(())
    }

    /// It is about to be published again as a retry.
    pub(crate) async fn retried(&self, task: &InFlight, failure: &Failure) -> Result<(), ShuttingDown> {
        tracing::debug!(id = task.id(), name = task.name(), exc_type = failure.exc_type, "retried");
        self.results.retried(task, failure).await?;
        self.events.task("task-retried", || unsuccessful(task, failure));
        Ok(())
    }

    /// It will not be run, or not to its end.
    pub(crate) async fn revoked(&self, task: &InFlight, why: Revocation) -> Result<(), ShuttingDown> {
        tracing::warn!(id = task.id(), queue = %task.queue, expired = why.expired, "the task is revoked");
        let reason = match why {
            Revocation { terminated: true, .. } => "terminated",
            Revocation { expired: true, .. } => "expired",
            Revocation { .. } => "revoked",
        };
        self.results.revoked(task, reason).await?;
        self.events.task("task-revoked", || {
            let Revocation { terminated, signum, expired } = why;
            json!({"uuid": task.request.id, "terminated": terminated, "signum": signum, "expired": expired})
        });
        Ok(())
    }

    /// This worker rejects it: it is requeued or dead-lettered.
    pub(crate) async fn rejected(
        &self,
        task: &InFlight,
        failure: &Failure,
        requeue: bool,
    ) -> Result<(), ShuttingDown> {
        tracing::debug!(id = task.id(), name = task.name(), requeue, "rejected");
        if !requeue {
            self.results.failed(task, failure).await?;
        }
        self.events.task("task-rejected", || json!({"uuid": task.request.id, "requeue": requeue}));
        Ok(())
    }

    /// The broker holds it until its `eta`.
    pub(crate) fn scheduled(&self, task: &InFlight, eta: Timestamp) {
        self.registry.schedule(task, eta);
    }

    /// It is no longer in flight: it was acknowledged or requeued, or its connection was lost.
    pub(crate) fn settled(&self, task: &InFlight) {
        tracing::trace!(id = task.id(), name = task.name(), "settled");
        self.registry.leave(task);
        gauge!(metrics::TASKS_IN_FLIGHT).decrement(1.0);
    }
}

fn unsuccessful(task: &InFlight, failure: &Failure) -> Value {
    let exception = shortened(failure.to_string());
    json!({"uuid": task.request.id, "exception": exception, "traceback": failure.traceback})
}
