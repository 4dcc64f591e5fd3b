//! Revoking: by id or by stamp, and ending what runs already.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::ControlState;
use super::arguments::{Arguments, Raised};
use super::commands::{Answer, ok};
use crate::execution::as_list;
use crate::protocol::repr;
use crate::python::set_repr;
use crate::result_backend::ResultBackend;

/// A longer id was never published.
const MAX_ID: usize = 255;

/// There is no process to be sent a signal; its number is told in the event.
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

pub(super) fn revoke(panel: &ControlState, given: &Arguments<'_>) -> Answer {
    let ids = given.ids("task_id")?;
    if given.is_true("terminate") {
        return end(panel, given, &ids);
    }
    tracing::info!(ids = ids.len(), "tasks are revoked");
    panel.note_revoked(&ids);
    ok(format!("tasks {} flagged as revoked", set_repr(ids.into_iter())))
}

pub(super) fn terminate(panel: &ControlState, given: &Arguments<'_>) -> Answer {
    given.required("signal")?;
    end(panel, given, &given.ids("task_id")?)
}

fn end(panel: &ControlState, given: &Arguments<'_>, ids: &BTreeSet<&str>) -> Answer {
    panel.note_revoked(ids);
    let signum = signum(given)?;
    let ended = panel.registry.terminate(signum, |task| ids.contains(task.request.id.as_str()));
    let ended: BTreeSet<String> = ended.into_iter().collect();
    tracing::info!(ids = ids.len(), ended = ended.len(), "tasks are terminated");
    if ended.is_empty() {
        return ok("terminate: tasks unknown");
    }
    ok(format!("terminate: {}", ended.into_iter().collect::<Vec<_>>().join(", ")))
}

impl ControlState {
    /// Remembers that these are revoked, and has it said to those who wait for what has not begun.
    fn note_revoked(&self, ids: &BTreeSet<&str>) {
        self.revoked.add(ids.iter().copied());
        let active = self.registry.active_ids();
        let ids = ids.iter().filter(|id| id.len() <= MAX_ID && !active.contains(**id));
        if self.marks.try_send(ids.map(|id| (*id).to_owned()).collect()).is_err() {
            tracing::warn!("too much is revoked at once: those who wait hear of it when the tasks come");
        }
    }
}

/// Says of what was revoked, to those who wait for it, that it is, until `stop`.
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
                    // As Celery has it. It is told once more when the task comes.
                    tracing::warn!(%error, "who waits for a revoked task was not told yet");
                    break;
                }
            }
        }
    }
}

pub(super) fn revoke_by_stamped_headers(panel: &ControlState, given: &Arguments<'_>) -> Answer {
    let headers = stamped_headers(given.required("headers")?)?;
    for (header, stamps) in &headers {
        panel.revoked.add_stamps(header, as_list(stamps));
    }
    let shown = repr(&Value::Object(headers.clone()));
    if !given.is_true("terminate") {
        return ok(format!("headers {shown} flagged as revoked, but not terminated"));
    }
    let matched = end_stamped(panel, &headers, signum(given)?);
    if matched.is_empty() {
        return ok(format!("headers {shown} were not terminated"));
    }
    let sets = matched.iter().map(|(header, stamps)| {
        format!("{}: {}", repr(&Value::from(*header)), set_repr(stamps.iter().map(String::as_str)))
    });
    let sets = sets.collect::<Vec<_>>().join(", ");
    ok(format!("headers defaultdict(<class 'set'>, {{{sets}}}) revoked"))
}

/// Ends what bears one of the stamps; gives those that something bore.
fn end_stamped<'a>(
    panel: &ControlState,
    headers: &'a Map<String, Value>,
    signum: i32,
) -> BTreeMap<&'a str, BTreeSet<String>> {
    let mut matched = BTreeMap::<&str, BTreeSet<String>>::new();
    for (header, revoked) in headers {
        for stamp in as_list(revoked) {
            let ended = panel.registry.terminate(signum, |task| {
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
fn stamped_headers(value: &Value) -> Result<Map<String, Value>, Raised> {
    let unusable = || Raised::type_error("headers are an object, or a list of texts such as 'name=stamp'");
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

/// The signal's number; SIGTERM's, where none is given.
fn signum(given: &Arguments<'_>) -> Result<i32, Raised> {
    let Some(signal) = given.get("signal") else { return Ok(15) };
    let number = signal.as_i64().and_then(|number| i32::try_from(number).ok());
    let named = || {
        let name = signal.as_str()?.to_ascii_uppercase();
        let name = name.strip_prefix("SIG").unwrap_or(&name);
        SIGNALS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
    };
    number.or_else(named).ok_or_else(|| Raised::value_error("there is no such signal"))
}
