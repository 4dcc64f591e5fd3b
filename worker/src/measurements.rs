//! The counters and timings of the tasks, and how a task joins its client's trace.

use std::time::Duration;

use crate::metrics;
use ::metrics::{counter, gauge, histogram};
use charging::notifications::MailKind;
use common::clock::{self, Nanos};
use service_runtime::trace_context::TraceContext;
use task_queue::TaskContext;
use task_queue::dead_letter::DeadReason;
use tracing::Span;

use crate::callback::circuit_breaker::Breakers;
use crate::callback::{Answered, AttemptError, UndeliverableReason, class};

const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What became of a mail.
#[derive(Debug, Clone, Copy)]
pub(crate) enum MailEnd {
    /// The server has it.
    Sent,
    /// The server refuses it.
    Failed,
    /// It is of no use any more.
    Dropped,
}

impl MailEnd {
    fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}

/// All reasons of dead letters.
pub fn dead_letter_reasons() -> impl Iterator<Item = &'static str> {
    let callbacks = UndeliverableReason::ALL.iter().map(|reason| reason.as_str());
    DeadReason::ALL.iter().map(|reason| reason.as_str()).chain(callbacks)
}

/// Counts the dead letters of each reason from 0 on, so that an alert sees the first one.
pub(crate) fn begin() {
    for reason in dead_letter_reasons() {
        counter!(authorization::metrics::DEAD_LETTERS, "reason" => reason).absolute(0);
    }
    for kind in MailKind::ALL {
        for end in [MailEnd::Sent, MailEnd::Failed, MailEnd::Dropped] {
            counter!(metrics::MAILS, "kind" => kind.as_str(), "state" => end.as_str()).absolute(0);
        }
    }
    gauge!(metrics::MAIL_OLDEST).set(0.0);
}

/// Adds a task's span to the trace that its message names; returns the trace context for what follows from the task.
pub(crate) fn join(span: &Span, context: &TaskContext) -> TraceContext {
    TraceContext::received(|name| context.message.text_header(name)).joined_by(span)
}

/// A worker has received a request. Its time in the queue is measured if the time of the client's call is known, also
/// in the trace.
pub(crate) fn taken(received: Option<Nanos>, trace: &TraceContext, span: &Span) {
    if let Some(received) = received {
        let waited = clock::since(received).as_secs_f64();
        histogram!(metrics::QUEUE_WAIT).record(waited);
        trace.annotate(span, || [("voltgate.queue_wait_ms", format!("{:.1}", waited * 1000.0))]);
    }
}

/// A callback attempt was made.
pub(crate) fn attempted(result: &Result<Answered, AttemptError>, took: Duration) {
    counter!(metrics::CALLBACK_ATTEMPTS, "class" => class(result)).increment(1);
    histogram!(metrics::CALLBACK).record(took.as_secs_f64());
}

/// A callback was deferred without an attempt.
pub(crate) fn deferred(reason: &'static str) {
    counter!(metrics::CALLBACKS_PARKED, "reason" => reason).increment(1);
}

/// A delivery has finished, by its final state.
pub(crate) fn ended(delivered: bool) {
    let state = if delivered { "delivered" } else { "undeliverable" };
    counter!(metrics::DELIVERIES, "state" => state).increment(1);
}

/// A mail was sent, or never will be. Its kind may be one that only a later version knows.
pub(crate) fn mail_ended(kind: Option<MailKind>, end: MailEnd) {
    let kind = kind.map_or("unknown", MailKind::as_str);
    counter!(metrics::MAILS, "kind" => kind, "state" => end.as_str()).increment(1);
}

/// Updates the number of breakers every few seconds, until dropped.
pub(crate) async fn watch(breakers: &Breakers) {
    loop {
        let (open, half_open) = breakers.count();
        for (state, count) in [("open", open), ("half_open", half_open)] {
            gauge!(metrics::BREAKERS, "state" => state).set(f64::from(count));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn file(name: &str) -> String {
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)).unwrap()
    }

    #[test]
    fn every_reason_of_a_dead_letter_is_documented_and_no_other_is() {
        let readme = file("docs/dead-letters.md");
        let table = readme.split_once("| `dead_reason` |").unwrap().1.split_once("\n\n").unwrap().0;
        let rows = table.lines().skip(2).filter_map(|row| row.split('|').nth(1));
        let documented: BTreeSet<&str> =
            rows.flat_map(|words| words.split(',')).map(|word| word.trim().trim_matches('`')).collect();
        assert_eq!(dead_letter_reasons().collect::<BTreeSet<_>>(), documented);
    }
}
