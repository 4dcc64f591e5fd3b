//! `authorize`: decide, record, and only then tell the client.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use common::clock::{self, Nanos};
use common::decision::Decision;
use common::ids::RequestId;
use common::tasks::authorize::{self, Authorize};
use common::tasks::deliver_callback::DeliverCallback;
use common::trace_context::TraceContext;
use store::{Decided, DeliveryState, Held, Opened, Record, RecordKey};
use task_queue::dead_letter::{self, Reason, reasons};
use task_queue::{Outcome, Task, TaskContext};
use tracing::field::Empty;
use tracing::{Instrument, error_span};

use super::Parts;
use super::delivery::{Delivered, Turn, deliver, undeliverable};
use crate::measurements;
use crate::patience::{GivenUp, until_stored};

/// Most questions are answered by then.
const OPENED_AFTER: Duration = Duration::from_millis(100);

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
            return Outcome::Dead(Reason::new(reasons::INVALID_ARGUMENTS, "the task's id is no UUID"));
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
        let settled = self.settle(request, &task, context, trace).await?;
        if settled.delivered {
            return Ok(Outcome::Done);
        }
        let Settled { start_ns, status, decided_ns, attempts_made, .. } = settled;
        let callback = callback(request, task, start_ns, status, attempts_made);
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

    /// The decision on record, made now unless there is one: what was decided once is decided, whatever a redelivery or a
    /// replay would find.
    async fn settle(
        &self,
        request: RequestId,
        task: &Authorize,
        context: &TaskContext,
        trace: &TraceContext,
    ) -> Result<Settled, GivenUp> {
        let (mut key, first) = (self.proposed(task, context), is_first(context));
        if !first {
            let opened = self.open(request, &key, context).await?;
            if let Some(record) = opened.record {
                return Ok(record.into());
            }
            key = opened.key;
        }
        let deciding = self.decide(request, task, trace);
        let decision = match first {
            true => self.open_if_slow(request, &key, context, deciding).await?,
            false => deciding.await,
        };
        let held = self.record(request, &key, task, decision, context).await?;
        if !held.new
            // Another delivery was faster, and may have told the client.
            && let Some(record) = Box::pin(self.open(request, &held.key, context)).await?.record
        {
            return Ok(record.into());
        }
        let (start_ns, decided_ns) = (held.key.start_ns, clock::now());
        Ok(Settled { start_ns, status: held.decision, decided_ns, attempts_made: 0, delivered: false })
    }

    /// Waits for the decision. Where that takes long the record is opened, so that public-api sees that a worker has the
    /// request in hand and does not take it for one that waits in the queue.
    async fn open_if_slow(
        &self,
        request: RequestId,
        key: &RecordKey,
        context: &TaskContext,
        deciding: impl Future<Output = Decision>,
    ) -> Result<Decision, GivenUp> {
        let mut deciding = pin!(deciding);
        if let Ok(decision) = tokio::time::timeout(OPENED_AFTER, &mut deciding).await {
            return Ok(decision);
        }
        let opening = Box::pin(self.open(request, key, context));
        let (_, decision) = tokio::try_join!(opening, async { Ok(deciding.await) })?;
        Ok(decision)
    }

    /// Without a decision so far, it is `unknown`: a replay will tell the client that, and nothing else any more.
    async fn record_that_it_was_given_up(
        &self,
        request: RequestId,
        task: Authorize,
        context: &TaskContext,
        reason: &Reason,
    ) -> Result<(), GivenUp> {
        let opened = self.open(request, &self.proposed(&task, context), context).await?;
        let attempts_made = opened.record.as_ref().map_or(0, |record| record.attempts.len());
        if opened.record.is_none() {
            self.record(request, &opened.key, &task, Decision::Unknown, context).await?;
        }
        let callback = callback(request, task, opened.key.start_ns, Decision::Unknown, attempts_made);
        let number = callback.attempts_made.saturating_add(1);
        undeliverable(&self.parts, &callback, number, reason, &context.give_up).await
    }

    /// The record that a request gets unless it has one.
    fn proposed(&self, task: &Authorize, context: &TaskContext) -> RecordKey {
        RecordKey {
            start_ns: received(context).unwrap_or_else(|| self.parts.start_times.now()),
            station_id: task.station_id,
            driver_token: task.driver_token.clone(),
        }
    }

    /// Finds the record, or settles under which start time it will be written.
    async fn open(
        &self,
        request: RequestId,
        proposed: &RecordKey,
        context: &TaskContext,
    ) -> Result<Opened, GivenUp> {
        let records = &self.parts.store.records;
        until_stored(&context.give_up, || records.open(request, proposed)).await
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
    ) -> Result<Held, GivenUp> {
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
        let decision = held.decision;
        measurements::decided(decision, key.start_ns);
        tracing::debug!(%request, station = %task.station_id, token = ?task.driver_token, %decision, "decided");
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

/// What is on record of a request that is decided.
struct Settled {
    start_ns: Nanos,
    status: Decision,
    decided_ns: Nanos,
    attempts_made: usize,
    delivered: bool,
}

impl From<Record> for Settled {
    fn from(record: Record) -> Self {
        Self {
            start_ns: record.key.start_ns,
            status: record.decided.decision,
            decided_ns: record.decided.decided_ns,
            attempts_made: record.attempts.len(),
            delivered: record.delivery == DeliveryState::Delivered,
        }
    }
}

/// Whether there is no record yet, as far as can be known without asking, and any other delivery of the task would propose
/// the same one. Asking costs a write to Redis' disk.
fn is_first(context: &TaskContext) -> bool {
    let replayed = context.message.headers.contains_key(dead_letter::REPLAYED_AT);
    context.deliveries == 1 && !replayed && received(context).is_some()
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
