//! `deliver_callback`: a further attempt, after the broker held it for a while.

use std::sync::Arc;

use async_trait::async_trait;
use authorization::tasks::deliver_callback::{self, DeliverCallback};
use authorization::{Abandoned, retry_until_stored};
use service_runtime::trace_context::TraceContext;
use store::{Attempt, DeliveryState, Record};
use task_queue::dead_letter::DeadLetter;
use task_queue::{Outcome, Retry, Task, TaskContext};
use tracing::field::Empty;
use tracing::{Instrument, error_span};

use super::Parts;
use super::attempt_number::{AttemptNumber, is_redelivery};
use super::delivery::{DeliveryOutcome, deliver, undeliverable};
use crate::measurements;

pub(crate) struct DeliverCallbackTask {
    pub(crate) parts: Arc<Parts>,
}

/// Whether this task's callback was delivered. A requested redelivery is not finished by a delivery before the request.
fn is_done(task: &DeliverCallback, record: &Record, redelivery: bool) -> bool {
    let by_us = |attempt: &Attempt| attempt.number > task.attempts_made && attempt.outcome.is_success();
    record.delivery == DeliveryState::Delivered && (!redelivery || record.attempts.iter().any(by_us))
}

#[async_trait]
impl Task for DeliverCallbackTask {
    const NAME: &'static str = deliver_callback::NAME;
    const PARAMETERS: &'static [&'static str] = deliver_callback::PARAMETERS;
    const IGNORE_RESULT: bool = true;
    const MASKED: &'static [&'static str] = &["driver_token", "callback_url"];
    const ACCOUNTED_FOR: bool = true;
    /// The window ends it.
    const MAX_RETRIES: Option<u32> = None;
    type Args = DeliverCallback;

    async fn run(&self, task: DeliverCallback, context: TaskContext) -> Outcome {
        let request_id = task.request_id;
        let span = error_span!("deliver_callback", otel.kind = "consumer", request_id = %request_id, trace_id = Empty);
        let trace = measurements::join(&span, &context);
        self.deliver(task, context, &trace).instrument(span).await
    }

    async fn abandoned(&self, task: DeliverCallback, context: TaskContext, letter: &DeadLetter) {
        let number = task.attempts_made.saturating_add(context.retries).saturating_add(1);
        let _ = undeliverable(&self.parts, &task, number, letter, &context.cancel).await;
    }
}

impl DeliverCallbackTask {
    async fn deliver(&self, task: DeliverCallback, context: TaskContext, trace: &TraceContext) -> Outcome {
        let records = &self.parts.store.records();
        match retry_until_stored(&context.cancel, || records.find(task.request_id)).await {
            // The callback was delivered, and only the acknowledgement was lost.
            Ok(Some(record)) if is_done(&task, &record, is_redelivery(&context)) => return Outcome::Done,
            Ok(_) => {}
            Err(Abandoned) => return Outcome::Requeue,
        }
        let number = task.attempts_made.saturating_add(context.retries).saturating_add(1);
        let this = AttemptNumber::new(number, task.start_time_ns, &context);
        match deliver(&self.parts, &task, this, trace, &context.cancel).await {
            Ok(DeliveryOutcome::Delivered) => Outcome::Done,
            Ok(DeliveryOutcome::Again(after)) => Retry::after(after).into(),
            Ok(DeliveryOutcome::Deferred(after)) => Outcome::Postpone { after },
            Ok(DeliveryOutcome::Dead(reason)) => Outcome::Dead(reason),
            Err(Abandoned) => Outcome::Requeue,
        }
    }
}
