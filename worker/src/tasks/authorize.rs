//! `authorize`: decides a request and records the decision, and only then calls the client back.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use authorization::tasks::authorize::{self, Authorize};
use authorization::tasks::deliver_callback::DeliverCallback;
use authorization::{Abandoned, AccessRequest, RecordedDecision};
use common::clock::Nanos;
use common::decision::Source;
use common::ids::RequestId;
use service_runtime::trace_context::TraceContext;
use task_queue::dead_letter::{self, DeadLetter, DeadReason};
use task_queue::{Outcome, Task, TaskContext};
use tracing::field::Empty;
use tracing::{Instrument, error_span};

use super::Parts;
use super::attempt_number::AttemptNumber;
use super::delivery::{DeliveryOutcome, deliver, undeliverable};
use crate::measurements;

pub(crate) struct AuthorizeTask {
    pub(crate) parts: Arc<Parts>,
}

#[async_trait]
impl Task for AuthorizeTask {
    const NAME: &'static str = authorize::NAME;
    const PARAMETERS: &'static [&'static str] = authorize::PARAMETERS;
    const IGNORE_RESULT: bool = true;
    const MASKED: &'static [&'static str] = &["driver_token", "callback_url"];
    const ACCOUNTED_FOR: bool = true;
    type Args = Authorize;

    async fn run(&self, task: Authorize, context: TaskContext) -> Outcome {
        let Ok(request_id) = context.id.parse() else {
            return Outcome::Dead(DeadLetter::new(DeadReason::InvalidArguments, "its id is not a UUID"));
        };
        // At level `error`, so that `LOG_LEVEL` does not remove the request's id from the log lines within.
        let span = error_span!("authorize", otel.kind = "consumer", %request_id, trace_id = Empty);
        let trace = measurements::join(&span, &context);
        measurements::taken(received(&context), &trace, &span);
        let request = access_request(request_id, &task, &context);
        let authorizing = self.authorize(&request, task.callback_url, &context, &trace).instrument(span);
        authorizing.await.unwrap_or_else(|Abandoned| Outcome::Requeue)
    }

    /// Records `unknown` if there is no decision yet. A replay then delivers that decision and never another one.
    async fn abandoned(&self, task: Authorize, context: TaskContext, letter: &DeadLetter) {
        let Ok(request_id) = context.id.parse() else { return };
        let request = access_request(request_id, &task, &context);
        if let Ok(recorded) = self.parts.decider.abandon(&request, &context.cancel).await {
            let callback = callback(&request, task.callback_url, &recorded);
            let number = callback.attempts_made.saturating_add(1);
            let _ = undeliverable(&self.parts, &callback, number, letter, &context.cancel).await;
        }
    }
}

impl AuthorizeTask {
    async fn authorize(
        &self,
        request: &AccessRequest,
        callback_url: String,
        context: &TaskContext,
        trace: &TraceContext,
    ) -> Result<Outcome, Abandoned> {
        let recorded = self.parts.decider.decide(request, trace, &context.cancel).await?;
        if recorded.delivered {
            return Ok(Outcome::Done);
        }
        let callback = callback(request, callback_url, &recorded);
        let number = callback.attempts_made.saturating_add(1);
        let this = AttemptNumber::new(number, recorded.decided_ns.max(recorded.start_ns), context);
        Ok(match deliver(&self.parts, &callback, this, trace, &context.cancel).await? {
            DeliveryOutcome::Delivered => Outcome::Done,
            DeliveryOutcome::Dead(letter) => Outcome::Dead(letter),
            DeliveryOutcome::Deferred(after) => self.later(&callback, this, after, trace),
            DeliveryOutcome::Again(after) => {
                self.later(&DeliverCallback { attempts_made: number, ..callback }, this, after, trace)
            }
        })
    }

    fn later(
        &self,
        callback: &DeliverCallback,
        this: AttemptNumber,
        after: Duration,
        trace: &TraceContext,
    ) -> Outcome {
        Outcome::Then(Box::new(self.parts.queue.deliver_later(callback, this.counting(), after, trace)))
    }
}

/// The access request of the task. It is the first delivery unless the broker or a replay says otherwise.
fn access_request(request_id: RequestId, task: &Authorize, context: &TaskContext) -> AccessRequest {
    let replayed = context.message.headers.contains_key(dead_letter::REPLAYED_AT);
    AccessRequest {
        request_id,
        station_id: task.station_id,
        driver_token: task.driver_token.clone(),
        deadline_ns: task.expiry_time_ns,
        source: Source::Api,
        callback_url: Some(task.callback_url.clone()),
        received_ns: received(context),
        repeated: replayed || context.deliveries > 1,
    }
}

/// The time of the client's call, if the message contains it.
fn received(context: &TaskContext) -> Option<Nanos> {
    context.message.number_header(authorize::RECEIVED_HEADER)
}

fn callback(request: &AccessRequest, callback_url: String, recorded: &RecordedDecision) -> DeliverCallback {
    DeliverCallback {
        request_id: request.request_id,
        station_id: request.station_id,
        driver_token: request.driver_token.clone(),
        callback_url,
        status: recorded.decision,
        start_time_ns: recorded.start_ns,
        attempts_made: u32::try_from(recorded.attempts_made).unwrap_or(u32::MAX),
    }
}
