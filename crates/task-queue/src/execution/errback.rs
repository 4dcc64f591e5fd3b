//! Errbacks (`link_error`): called or published before the failure is stored.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use serde_json::{Value, json};

use super::in_flight::InFlight;
use super::job::Job;
use super::unacked_delivery::NotAcked;
use crate::protocol::{Signature, binding};
use crate::task::{Failure, Outcome, TaskContext};

impl Job {
    pub(super) async fn call_errbacks(&self, task: &InFlight, failure: &Failure) -> Result<(), NotAcked> {
        for errback in &task.request.errbacks {
            if let Some(why) = errback.unsupported() {
                // This may be why the task failed. However often it is retried, the errback could not be published.
                tracing::error!(id = task.id(), why, "an errback is not called");
            } else if self.takes_the_failure(errback) {
                self.send_the_failure(task, errback, failure).await?;
            } else {
                self.follow(&self.canvas.errback(&task.request, errback)).await?;
            }
        }
        Ok(())
    }

    /// A new-style errback takes the request, the exception and the traceback, and is called in the worker where the
    /// task failed. Like Celery, this tells it from an old-style errback by the number of its parameters.
    fn takes_the_failure(&self, errback: &Signature) -> bool {
        let declared = self.tasks.declared(&errback.task);
        let bound = if errback.immutable { 0 } else { errback.args.len() + errback.kwargs.len() };
        declared.is_some_and(|declared| binding::by_place(declared.parameters).count() > bound + 1)
    }

    /// As in Celery, the outcome of such an errback does not affect the failed task.
    async fn send_the_failure(
        &self,
        task: &InFlight,
        errback: &Signature,
        failure: &Failure,
    ) -> Result<(), NotAcked> {
        let exception = json!({
            "exc_type": failure.exc_type, "exc_message": failure.exc_message, "exc_module": failure.exc_module,
        });
        let report = [request_of(task), exception, json!(failure.traceback)];
        let mut request = (*task.request).clone();
        request.name.clone_from(&errback.task);
        request.args =
            if errback.immutable { errback.args.clone() } else { [&report, &errback.args[..]].concat() };
        request.kwargs.clone_from(&errback.kwargs);
        let context = TaskContext { request: Arc::new(request), ..self.context(task) };
        let ended = tokio::select! {
            ended = AssertUnwindSafe(self.tasks.run(context)).catch_unwind() => ended,
            () = self.cancel.cancelled() => return Err(NotAcked::ShuttingDown),
        };
        if !matches!(ended, Ok(Outcome::Done | Outcome::Succeeded(_) | Outcome::Ignored)) {
            tracing::error!(id = task.id(), errback = errback.task, "an errback failed");
        }
        Ok(())
    }
}

/// The request that a new-style errback receives.
fn request_of(task: &InFlight) -> Value {
    let request = &task.request;
    json!({
        "id": request.id, "task": request.name, "args": request.args, "kwargs": request.kwargs,
        "retries": request.retries, "root_id": request.root_id, "parent_id": request.parent_id,
        "group": request.group, "reply_to": request.reply_to, "correlation_id": request.correlation_id,
    })
}
