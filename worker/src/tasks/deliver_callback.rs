//! `deliver_callback`: a further attempt, after the broker kept it for a while.

use std::sync::Arc;

use async_trait::async_trait;
use common::tasks::deliver_callback::{self, DeliverCallback};
use common::trace_context::TraceContext;
use store::{Attempt, DeliveryState, Record};
use task_queue::dead_letter::Reason;
use task_queue::{Outcome, Retry, Task, TaskContext};
use tracing::field::Empty;
use tracing::{Instrument, error_span};

use super::Parts;
use super::delivery::{Delivered, Turn, deliver, is_redelivery, undeliverable};
use crate::measurements;
use crate::patience::{GivenUp, until_stored};

pub(crate) struct DeliverCallbackTask {
    pub(crate) parts: Arc<Parts>,
}

/// Whether the client has been told what this task is there to tell. One that somebody asked for once more is not done by
/// what was told before that.
fn is_done(task: &DeliverCallback, record: &Record, redelivery: bool) -> bool {
    let by_us = |attempt: &Attempt| attempt.number > task.attempts_made && attempt.outcome.starts_with('2');
    record.delivery == DeliveryState::Delivered && (!redelivery || record.attempts.iter().any(by_us))
}

#[async_trait]
impl Task for DeliverCallbackTask {
    const NAME: &'static str = deliver_callback::NAME;
    const PARAMETERS: &'static [&'static str] = deliver_callback::PARAMETERS;
    const IGNORE_RESULT: bool = true;
    const MASKED: &'static [&'static str] = &["driver_token", "callback_url"];
    const ACCOUNTED_FOR: bool = true;
    /// Its window ends it.
    const MAX_RETRIES: Option<u32> = None;
    type Args = DeliverCallback;

    async fn run(&self, task: DeliverCallback, context: TaskContext) -> Outcome {
        let request_id = task.request_id;
        let span = error_span!("deliver_callback", otel.kind = "consumer", request_id = %request_id, trace_id = Empty);
        let trace = measurements::join(&span, &context);
        self.deliver(task, context, &trace).instrument(span).await
    }

    async fn given_up(&self, task: DeliverCallback, context: TaskContext, reason: &Reason) {
        let number = task.attempts_made.saturating_add(context.retries).saturating_add(1);
        let _ = undeliverable(&self.parts, &task, number, reason, &context.give_up).await;
    }
}

impl DeliverCallbackTask {
    async fn deliver(&self, task: DeliverCallback, context: TaskContext, trace: &TraceContext) -> Outcome {
        let records = &self.parts.store.records;
        match until_stored(&context.give_up, || records.find(task.request_id)).await {
            // It was delivered, and only the acknowledgement was lost.
            Ok(Some(record)) if is_done(&task, &record, is_redelivery(&context)) => return Outcome::Done,
            Ok(_) => {}
            Err(GivenUp) => return Outcome::GiveBack,
        }
        let number = task.attempts_made.saturating_add(context.retries).saturating_add(1);
        let turn = Turn::new(number, task.start_time_ns, &context);
        match deliver(&self.parts, &task, turn, trace, &context.give_up).await {
            Ok(Delivered::Yes) => Outcome::Done,
            Ok(Delivered::Later(after)) => Retry::after(after).into(),
            Ok(Delivered::Parked(after)) => Outcome::Postpone { after },
            Ok(Delivered::Dead(reason)) => Outcome::Dead(reason),
            Err(GivenUp) => Outcome::GiveBack,
        }
    }
}
