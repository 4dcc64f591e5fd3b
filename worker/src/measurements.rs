//! What the tasks count and measure, in one place; and where a task belongs in its client's trace.

use std::time::Duration;

use ::metrics::{counter, gauge, histogram};
use common::clock::{self, Nanos};
use common::decision::Decision;
use common::metrics;
use common::trace_context::TraceContext;
use reqwest::StatusCode;
use task_queue::{TaskContext, dead_letter};
use tracing::Span;

use crate::callback::standing::Standings;
use crate::callback::{self, Answered, AttemptError};

const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Every word that a task is buried with here.
fn reasons() -> impl Iterator<Item = &'static str> {
    dead_letter::reasons::ALL.iter().chain(callback::reasons::ALL).copied()
}

/// Counts the dead letters of each reason from 0 on, so that an alert sees the first one.
pub(crate) fn begin() {
    for reason in reasons() {
        counter!(metrics::DEAD_LETTERS, "reason" => reason).absolute(0);
    }
}

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
        let readme = file("README.md");
        let table = readme.split_once("| `dead_reason` |").unwrap().1.split_once("\n\n").unwrap().0;
        let rows = table.lines().skip(2).filter_map(|row| row.split('|').nth(1));
        let documented: BTreeSet<&str> =
            rows.flat_map(|words| words.split(',')).map(|word| word.trim().trim_matches('`')).collect();
        assert_eq!(reasons().collect::<BTreeSet<_>>(), documented);
    }

    #[test]
    fn a_task_is_buried_with_a_word_of_the_list_and_never_with_one_made_up_on_the_spot() {
        for folder in ["worker/src", "task-queue/src"] {
            let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder)];
            while let Some(folder) = folders.pop() {
                for entry in std::fs::read_dir(folder).unwrap() {
                    let path = entry.unwrap().path();
                    if path.is_dir() {
                        folders.push(path);
                        continue;
                    }
                    let text = std::fs::read_to_string(&path).unwrap();
                    // Put together, so that this line is not one.
                    let made_up = ["Reason::new", "(\""].concat();
                    assert!(!text.contains(&made_up), "{}", path.display());
                }
            }
        }
    }
}
