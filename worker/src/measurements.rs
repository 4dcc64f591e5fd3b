//! What the tasks count and measure, in one place; and where a task belongs in its client's trace.

use std::time::Duration;

use ::metrics::{counter, gauge, histogram};
use common::clock::{self, Nanos};
use common::decision::Decision;
use common::metrics;
use common::trace_context::TraceContext;
use reqwest::StatusCode;
use task_queue::TaskContext;
use tracing::Span;

use crate::callback::standing::Standings;
use crate::callback::{Answered, AttemptError};

const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Makes a task's span a part of the trace that its message names; gives the place of what follows from the task.
pub(crate) fn join(span: &Span, context: &TaskContext) -> TraceContext {
    TraceContext::received(|name| context.message.text_header(name)).joined_by(span)
}

/// A worker has a request in hand. How long it waited is said where the call's moment is known, also in the trace.
pub(crate) fn taken_in_hand(received: Option<Nanos>, trace: &TraceContext, span: &Span) {
    if let Some(received) = received {
        let waited = since(received);
        histogram!(metrics::QUEUE_WAIT).record(waited);
        trace.annotate(span, || [("voltgate.queue_wait_ms", format!("{:.1}", waited * 1000.0))]);
    }
}

/// A decision is on record.
pub(crate) fn decided(decision: Decision, received: Nanos) {
    counter!(metrics::DECISIONS, "status" => decision.as_str()).increment(1);
    histogram!(metrics::DECISION).record(since(received));
}

/// acl-service answered, or did not.
pub(crate) fn acl_asked(answered: bool, took: Duration) {
    let result = if answered { "answered" } else { "failed" };
    histogram!(metrics::ACL_REQUEST, "result" => result).record(took.as_secs_f64());
}

/// An attempt to call back was made.
pub(crate) fn attempted(result: &Result<Answered, AttemptError>, took: Duration) {
    counter!(metrics::CALLBACK_ATTEMPTS, "class" => class(result)).increment(1);
    histogram!(metrics::CALLBACK).record(took.as_secs_f64());
}

/// A callback went back to the broker untried.
pub(crate) fn parked(reason: &'static str) {
    counter!(metrics::CALLBACKS_PARKED, "reason" => reason).increment(1);
}

/// The client was told of a decision, or will not be.
pub(crate) fn ended(delivered: bool) {
    let state = if delivered { "delivered" } else { "undeliverable" };
    counter!(metrics::DELIVERIES, "state" => state).increment(1);
}

/// Counts the breakers every few seconds, until dropped.
pub(crate) async fn watch(standings: &Standings) {
    loop {
        let (open, half_open) = standings.breakers();
        for (state, count) in [("open", open), ("half_open", half_open)] {
            gauge!(metrics::BREAKERS, "state" => state).set(f64::from(count));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What came of an attempt, as metrics and traces say it.
pub(crate) fn class(result: &Result<Answered, AttemptError>) -> &'static str {
    match result {
        Ok(answered) => class_of(answered.status),
        Err(AttemptError::Refused(_)) => "refused",
        Err(AttemptError::Tls(_)) => "tls",
        Err(AttemptError::Dns(_)) => "dns",
        Err(AttemptError::Connect(_)) => "connect",
        Err(AttemptError::Timeout) => "timeout",
        Err(AttemptError::Gone) => "gone",
        Err(AttemptError::Crowded) => "crowded",
        Err(AttemptError::Broken(_)) => "broken",
    }
}

fn class_of(status: StatusCode) -> &'static str {
    match status.as_u16() {
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        500..=599 => "5xx",
        _ => "broken",
    }
}

/// In seconds. The moment may be another machine's.
fn since(moment: Nanos) -> f64 {
    Duration::from_nanos(clock::now().saturating_sub(moment)).as_secs_f64()
}
