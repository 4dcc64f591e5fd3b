//! Revokes tasks by id or stamp, and terminates running ones.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::ControlState;
use super::answer::{Answer, ok};
use super::arguments::{Arguments, PythonException};
use crate::execution::as_list;
use crate::protocol::repr;
use crate::python::set_repr;
use crate::result_backend::ResultBackend;

/// No published task has a longer id.
const MAX_ID: usize = 255;

/// No process receives the signal; only its number appears in the event.
const SIGNALS: [(&str, i32); 9] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ABRT", 6),
    ("KILL", 9),
    ("USR1", 10),
    ("USR2", 12),
    ("ALRM", 14),
    ("TERM", 15),
];

pub(super) fn revoke(state: &ControlState, given: &Arguments<'_>) -> Answer {
    let ids = given.ids("task_id")?;
    if given.is_true("terminate") {
        return end(state, given, &ids);
    }
    tracing::info!(ids = ids.len(), "tasks revoked");
    state.note_revoked(&ids);
    ok(format!("tasks {} flagged as revoked", set_repr(ids.into_iter())))
}

pub(super) fn terminate(state: &ControlState, given: &Arguments<'_>) -> Answer {
    given.required("signal")?;
    end(state, given, &given.ids("task_id")?)
}

fn end(state: &ControlState, given: &Arguments<'_>, ids: &BTreeSet<&str>) -> Answer {
    state.note_revoked(ids);
    let signum = signum(given)?;
    let ended = state.registry.terminate(signum, |task| ids.contains(task.request.id.as_str()));
    let ended: BTreeSet<String> = ended.into_iter().collect();
    tracing::info!(ids = ids.len(), ended = ended.len(), "tasks terminated");
    if ended.is_empty() {
        return ok("terminate: tasks unknown");
    }
    ok(format!("terminate: {}", ended.into_iter().collect::<Vec<_>>().join(", ")))
}

impl ControlState {
    /// Revokes these ids, and passes on those not begun, so that waiting clients are notified.
    fn note_revoked(&self, ids: &BTreeSet<&str>) {
        self.revoked.add(ids.iter().copied());
        let active = self.registry.active_ids();
        let ids = ids.iter().filter(|id| id.len() <= MAX_ID && !active.contains(**id));
        if self.marks.try_send(ids.map(|id| (*id).to_owned()).collect()).is_err() {
            tracing::warn!("too many revocations at once: clients are notified when the tasks are received");
        }
    }
}

/// Stores the state REVOKED for revoked tasks, which notifies the clients that wait for them, until `stop`.
pub(super) async fn mark(
    backend: &ResultBackend,
    marks: &mut mpsc::Receiver<Vec<String>>,
    stop: &CancellationToken,
) {
    while let Some(Some(ids)) = stop.run_until_cancelled(marks.recv()).await {
        for id in ids {
            match stop.run_until_cancelled(backend.revoke(&id)).await {
                None => return,
                Some(Ok(())) => {}
                Some(Err(error)) => {
                    // As in Celery, there is no second attempt here. The state is stored again when the task is
                    // received.
                    tracing::warn!(%error, "the state of a revoked task could not be stored yet");
                    break;
                }
            }
        }
    }
}

pub(super) fn revoke_by_stamped_headers(state: &ControlState, given: &Arguments<'_>) -> Answer {
    let headers = stamped_headers(given.required("headers")?)?;
    for (header, stamps) in &headers {
        state.revoked.add_stamps(header, as_list(stamps));
    }
    let shown = repr(&Value::Object(headers.clone()));
    if !given.is_true("terminate") {
        return ok(format!("headers {shown} flagged as revoked, but not terminated"));
    }
    let matched = end_stamped(state, &headers, signum(given)?);
    if matched.is_empty() {
        return ok(format!("headers {shown} were not terminated"));
    }
    let sets = matched.iter().map(|(header, stamps)| {
        format!("{}: {}", repr(&Value::from(*header)), set_repr(stamps.iter().map(String::as_str)))
    });
    let sets = sets.collect::<Vec<_>>().join(", ");
    ok(format!("headers defaultdict(<class 'set'>, {{{sets}}}) revoked"))
}

/// Terminates the tasks that have one of the stamps; returns the stamps that matched.
fn end_stamped<'a>(
    state: &ControlState,
    headers: &'a Map<String, Value>,
    signum: i32,
) -> BTreeMap<&'a str, BTreeSet<String>> {
    let mut matched = BTreeMap::<&str, BTreeSet<String>>::new();
    for (header, revoked) in headers {
        for stamp in as_list(revoked) {
            let ended = state.registry.terminate(signum, |task| {
                task.request.stamps.get(header).is_some_and(|borne| as_list(borne).contains(stamp))
            });
            if !ended.is_empty() {
                let stamp = stamp.as_str().map_or_else(|| repr(stamp), str::to_owned);
                matched.entry(header).or_default().insert(stamp);
            }
        }
    }
    matched
}

/// An object, or a list of texts such as `tenant=x`.
fn stamped_headers(value: &Value) -> Result<Map<String, Value>, PythonException> {
    let unusable =
        || PythonException::type_error("headers are an object, or a list of texts such as 'name=stamp'");
    match value {
        Value::Object(headers) if headers.values().all(|stamps| !stamps.is_null()) => Some(headers.clone()),
        Value::Array(list) => {
            let pairs = list.iter().map(|pair| pair.as_str()?.split_once('='));
            pairs.map(|pair| pair.map(|(header, stamp)| (header.to_owned(), stamp.into()))).collect()
        }
        _ => None,
    }
    .ok_or_else(unusable)
}

/// The signal's number; the default is SIGTERM.
fn signum(given: &Arguments<'_>) -> Result<i32, PythonException> {
    let Some(signal) = given.get("signal") else { return Ok(15) };
    let number = signal.as_i64().and_then(|number| i32::try_from(number).ok());
    let named = || {
        let name = signal.as_str()?.to_ascii_uppercase();
        let name = name.strip_prefix("SIG").unwrap_or(&name);
        SIGNALS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
    };
    number.or_else(named).ok_or_else(|| PythonException::value_error("there is no such signal"))
}
