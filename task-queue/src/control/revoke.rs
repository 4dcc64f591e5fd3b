//! Revoking: by id or by stamp, and ending what runs already.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::Panel;
use super::arguments::{Arguments, Raised};
use super::commands::{Answer, ok};
use crate::protocol::repr;
use crate::python::set_repr;
use crate::worker::as_list;

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

pub(super) fn revoke(panel: &Panel, given: &Arguments<'_>) -> Answer {
    let ids: BTreeSet<&str> = given.texts("task_id")?.into_iter().collect();
    if given.is_true("terminate") {
        return end(panel, given, &ids);
    }
    tracing::info!(ids = ids.len(), "tasks are revoked");
    panel.revoked.add(ids.iter().copied());
    ok(format!("tasks {} flagged as revoked", set_repr(ids.into_iter())))
}

pub(super) fn terminate(panel: &Panel, given: &Arguments<'_>) -> Answer {
    given.required("signal")?;
    end(panel, given, &given.texts("task_id")?.into_iter().collect())
}

fn end(panel: &Panel, given: &Arguments<'_>, ids: &BTreeSet<&str>) -> Answer {
    panel.revoked.add(ids.iter().copied());
    let signum = signum(given)?;
    let ended = panel.registry.terminate(signum, |task| ids.contains(task.request.id.as_str()));
    let ended: BTreeSet<String> = ended.into_iter().collect();
    tracing::info!(ids = ids.len(), ended = ended.len(), "tasks are terminated");
    if ended.is_empty() {
        return ok("terminate: tasks unknown");
    }
    ok(format!("terminate: {}", ended.into_iter().collect::<Vec<_>>().join(", ")))
}

pub(super) fn revoke_by_stamped_headers(panel: &Panel, given: &Arguments<'_>) -> Answer {
    let headers = stamped_headers(given.required("headers")?);
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
    panel: &Panel,
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
fn stamped_headers(value: &Value) -> Map<String, Value> {
    match value {
        Value::Object(headers) => headers.clone(),
        list => {
            let pairs = as_list(list).iter().filter_map(|pair| pair.as_str()?.split_once('='));
            pairs.map(|(header, stamp)| (header.to_owned(), stamp.into())).collect()
        }
    }
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
