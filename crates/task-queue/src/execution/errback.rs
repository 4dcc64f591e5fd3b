//! Errbacks (`link_error`): told of a failure before anybody else is.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use serde_json::{Value, json};

use super::job::{Job, NotAcked};
use super::lifecycle::InFlight;
use crate::protocol::{Signature, binding};
use crate::task::{Failure, Outcome, TaskContext};

impl Job {
    pub(super) async fn call_errbacks(&self, task: &InFlight, failure: &Failure) -> Result<(), NotAcked> {
        for errback in &task.request.errbacks {
            if let Some(why) = errback.unsupported() {
                // Perhaps that is why the task failed. It could be published as little now, however often it is tried.
                tracing::error!(id = task.id(), why, "an errback is left out");
            } else if self.is_told_the_failure(errback) {
                self.tell_the_failure(task, errback, failure).await?;
            } else {
                self.follow(&self.canvas.errback(&task.request, errback)).await?;
            }
        }
        Ok(())
    }

    /// An errback of the new kind takes the request, the exception and the traceback, and is called where the task failed;
    /// Celery, too, tells it from one of the old kind by the number of its parameters.
    fn is_told_the_failure(&self, errback: &Signature) -> bool {
        let declared = self.tasks.declared(&errback.task);
        let bound = if errback.immutable { 0 } else { errback.args.len() + errback.kwargs.len() };
        declared.is_some_and(|declared| binding::by_place(declared.parameters).count() > bound + 1)
    }

    /// As in Celery, what becomes of such an errback changes nothing for the task that failed.
    async fn tell_the_failure(
        &self,
        task: &InFlight,
        errback: &Signature,
        failure: &Failure,
    ) -> Result<(), NotAcked> {
        let exception = json!({
            "exc_type": failure.exc_type, "exc_message": failure.exc_message, "exc_module": failure.exc_module,
        });
        let told = [request_of(task), exception, json!(failure.traceback)];
        let mut request = (*task.request).clone();
        request.name.clone_from(&errback.task);
        request.args =
            if errback.immutable { errback.args.clone() } else { [&told, &errback.args[..]].concat() };
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

/// What an errback of the new kind is told of the task.
fn request_of(task: &InFlight) -> Value {
    let request = &task.request;
    json!({
        "id": request.id, "task": request.name, "args": request.args, "kwargs": request.kwargs,
        "retries": request.retries, "root_id": request.root_id, "parent_id": request.parent_id,
        "group": request.group, "reply_to": request.reply_to, "correlation_id": request.correlation_id,
    })
}
