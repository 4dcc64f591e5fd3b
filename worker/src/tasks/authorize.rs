//! `authorize`: decide, record, and only then tell the client.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use common::clock::{self, Nanos};
use common::decision::Decision;
use common::ids::RequestId;
use common::tasks::authorize::{self, Authorize};
use common::tasks::deliver_callback::DeliverCallback;
use common::trace_context::TraceContext;
use store::{Decided, DeliveryState, Opened, RecordKey};
use task_queue::dead_letter::Reason;
use task_queue::{Outcome, Task, TaskContext};
use tracing::field::Empty;
use tracing::{Instrument, error_span};

use super::Parts;
use super::delivery::{Delivered, Turn, deliver, undeliverable};
use crate::measurements;
use crate::patience::{GivenUp, until_stored};

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
        let Ok(request) = context.id.parse() else {
            return Outcome::Dead(Reason::new("invalid_arguments", "the task's id is no UUID"));
        };
        // Of the level `error`, so that LOG_LEVEL does not take the request's id off a line that is logged.
        let span = error_span!("authorize", otel.kind = "consumer", request_id = %request, trace_id = Empty);
        let trace = measurements::join(&span, &context);
        measurements::taken_in_hand(received(&context), &trace, &span);
        let authorizing = self.authorize(request, task, &context, &trace).instrument(span);
        authorizing.await.unwrap_or_else(|GivenUp| Outcome::GiveBack)
    }

    async fn given_up(&self, task: Authorize, context: TaskContext, reason: &Reason) {
        if let Ok(request) = context.id.parse() {
            let _ = self.record_that_it_was_given_up(request, task, &context, reason).await;
        }
    }
}

impl AuthorizeTask {
    async fn authorize(
        &self,
        request: RequestId,
        task: Authorize,
        context: &TaskContext,
        trace: &TraceContext,
    ) -> Result<Outcome, GivenUp> {
        let opened = self.open(request, &task, context).await?;
        let attempts_made = opened.record.as_ref().map_or(0, |record| record.attempts.len());
        let (status, decided_ns) = match opened.record {
            Some(record) if record.delivery == DeliveryState::Delivered => return Ok(Outcome::Done),
            // What was decided once is decided: this is a redelivery, or a replay.
            Some(record) => (record.decided.decision, record.decided.decided_ns),
            None => {
                let decision = self.decide(request, &task, trace).await;
                (self.record(request, &opened.key, &task, decision, context).await?, clock::now())
            }
        };
        let callback = callback(request, task, opened.key.start_ns, status, attempts_made);
        let number = callback.attempts_made.saturating_add(1);
        let turn = Turn::new(number, decided_ns.max(callback.start_time_ns), context);
        Ok(match deliver(&self.parts, &callback, turn, trace, &context.give_up).await? {
            Delivered::Yes => Outcome::Done,
            Delivered::Dead(reason) => Outcome::Dead(reason),
            Delivered::Parked(after) => self.later(&callback, turn, after, trace),
            Delivered::Later(after) => {
                self.later(&DeliverCallback { attempts_made: number, ..callback }, turn, after, trace)
            }
        })
    }

    /// Without a decision so far, it is `unknown`: a replay will tell the client that, and nothing else any more.
    async fn record_that_it_was_given_up(
        &self,
        request: RequestId,
        task: Authorize,
        context: &TaskContext,
        reason: &Reason,
    ) -> Result<(), GivenUp> {
        let opened = self.open(request, &task, context).await?;
        let attempts_made = opened.record.as_ref().map_or(0, |record| record.attempts.len());
        if opened.record.is_none() {
            self.record(request, &opened.key, &task, Decision::Unknown, context).await?;
        }
        let callback = callback(request, task, opened.key.start_ns, Decision::Unknown, attempts_made);
        let number = callback.attempts_made.saturating_add(1);
        undeliverable(&self.parts, &callback, number, reason, &context.give_up).await
    }

    /// Finds the record, or settles under which start time it will be written.
    async fn open(
        &self,
        request: RequestId,
        task: &Authorize,
        context: &TaskContext,
    ) -> Result<Opened, GivenUp> {
        let proposed = RecordKey {
            start_ns: received(context).unwrap_or_else(clock::now),
            station_id: task.station_id,
            driver_token: task.driver_token.clone(),
        };
        let records = &self.parts.store.records;
        until_stored(&context.give_up, || records.open(request, &proposed)).await
    }

    fn later(
        &self,
        callback: &DeliverCallback,
        turn: Turn,
        after: Duration,
        trace: &TraceContext,
    ) -> Outcome {
        Outcome::Then(Box::new(self.parts.queue.deliver_later(callback, turn.counting(), after, trace)))
    }

    /// The decision that holds, which is another worker's when that one was faster.
    async fn record(
        &self,
        request: RequestId,
        key: &RecordKey,
        task: &Authorize,
        decision: Decision,
        context: &TaskContext,
    ) -> Result<Decision, GivenUp> {
        let records = &self.parts.store.records;
        let record = || async {
            let decided_ns = clock::now();
            // The store may have kept us waiting; a late `allowed` must not be.
            let late = decided_ns >= task.expiry_time_ns && decision != Decision::Invalid;
            let decided = Decided {
                request_id: request,
                decision: if late { Decision::Unknown } else { decision },
                callback_url: task.callback_url.clone(),
                deadline_ns: task.expiry_time_ns,
                decided_ns,
            };
            records.decide(key, &decided).await
        };
        let held = until_stored(&context.give_up, record).await?;
        measurements::decided(held, key.start_ns);
        tracing::debug!(%request, station = %task.station_id, token = ?task.driver_token, decision = %held, "decided");
        Ok(held)
    }

    async fn decide(&self, request: RequestId, task: &Authorize, trace: &TraceContext) -> Decision {
        let Ok(token) = task.driver_token.parse() else { return Decision::Invalid };
        if clock::now() >= task.expiry_time_ns {
            return Decision::Unknown;
        }
        let deadline = task.expiry_time_ns;
        match self.parts.acl.is_allowed(request, task.station_id, &token, deadline, trace).await {
            Ok(true) => Decision::Allowed,
            Ok(false) => Decision::NotAllowed,
            Err(no_answer) => {
                tracing::warn!(%request, %no_answer, "the decision is unknown");
                Decision::Unknown
            }
        }
    }
}

/// When the client called, where the message says so.
fn received(context: &TaskContext) -> Option<Nanos> {
    context.message.number_header(authorize::RECEIVED_HEADER)
}

/// What is told the client, after so many attempts.
fn callback(
    request: RequestId,
    task: Authorize,
    start: Nanos,
    status: Decision,
    attempts_made: usize,
) -> DeliverCallback {
    DeliverCallback {
        request_id: request,
        station_id: task.station_id,
        driver_token: task.driver_token,
        callback_url: task.callback_url,
        status,
        start_time_ns: start,
        attempts_made: u32::try_from(attempts_made).unwrap_or(u32::MAX),
    }
}
