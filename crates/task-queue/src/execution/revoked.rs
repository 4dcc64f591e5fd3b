//! The ids and stamps of revoked tasks, which must not be run any more. They are bounded, and kept in a file over a
//! restart.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Celery's own limits.
const MAX_IDS: usize = 50_000;
const EXPIRES_SECS: u64 = 10_800;
/// Stamps do not expire; the oldest of a header are dropped.
const MAX_STAMPS: usize = 10_000;
const MAX_ID: usize = 255;
/// How long to wait before a failed write of the file is retried.
const WAIT: Duration = Duration::from_secs(1);

/// The revoked ids and stamps.
#[derive(Debug, Default)]
pub(crate) struct RevokedTasks {
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    at: HashMap<String, u64>,
    /// The oldest first. If an id occurs twice, only the later entry counts.
    order: VecDeque<(u64, String)>,
    stamps: BTreeMap<String, VecDeque<Value>>,
}

/// The content of the state file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct StateFile {
    revoked: Vec<(String, u64)>,
    revoked_stamps: BTreeMap<String, VecDeque<Value>>,
}

impl RevokedTasks {
    /// Adds ids, revoked from now on.
    pub(crate) fn add<'a>(&self, ids: impl IntoIterator<Item = &'a str>) {
        let now = now_secs();
        self.with(|inner| {
            ids.into_iter().filter(|id| id.len() <= MAX_ID).for_each(|id| inner.add(id, now));
            inner.purge(now);
        });
        self.changed.notify_one();
    }

    /// Adds stamps of a header.
    pub(crate) fn add_stamps(&self, header: &str, stamps: &[Value]) {
        self.with(|inner| {
            if header.len() > MAX_ID
                || (inner.stamps.len() >= MAX_STAMPS && !inner.stamps.contains_key(header))
            {
                return;
            }
            let known = inner.stamps.entry(header.to_owned()).or_default();
            known.extend(stamps.iter().filter(|stamp| stamp_is_short(stamp)).cloned());
            known.drain(..known.len().saturating_sub(MAX_STAMPS));
        });
        self.changed.notify_one();
    }

    /// Whether a task with this id and these stamps is revoked.
    pub(crate) fn covers(&self, id: &str, stamps: &Map<String, Value>) -> bool {
        self.with(|inner| {
            let live = inner.at.get(id).is_some_and(|at| at.saturating_add(EXPIRES_SECS) > now_secs());
            live || stamps.iter().any(|(header, stamp)| {
                let revoked = inner.stamps.get(header);
                revoked.is_some_and(|revoked| as_list(stamp).iter().any(|stamp| revoked.contains(stamp)))
            })
        })
    }

    /// The ids, the oldest first.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.with(|inner| {
            inner.purge(now_secs());
            inner.live().map(|(id, _)| id.to_owned()).collect()
        })
    }

    /// Reads the state of an earlier process. A file that cannot be read is logged and ignored.
    pub(crate) fn restore(&self, file: &PathBuf) {
        let state = match std::fs::read(file).map(|text| serde_json::from_slice::<StateFile>(&text)) {
            Ok(Ok(state)) => state,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            unreadable => {
                let why = unreadable.map(|state| state.err().map(|error| error.to_string()));
                tracing::warn!(file = %file.display(), ?why, "the state file cannot be read; starting with an empty one");
                return;
            }
        };
        let now = now_secs();
        self.with(|inner| {
            // After the clock was set back, an id must not be kept for ever.
            state.revoked.iter().for_each(|(id, at)| inner.add(id, (*at).min(now)));
            inner.stamps.extend(state.revoked_stamps);
            inner.purge(now);
        });
    }

    /// Writes each change to the file until `stop`, and then once more.
    pub(crate) async fn keep(&self, file: PathBuf, stop: &CancellationToken) {
        loop {
            let stopped = tokio::select! {
                biased;
                () = stop.cancelled() => true,
                () = self.changed.notified() => false,
            };
            let (state, file) = (self.state(), file.clone());
            let written = tokio::task::spawn_blocking(move || write(&state, &file)).await;
            if let Ok(Err(error)) = written {
                tracing::warn!(%error, "the revoked tasks cannot be written to the state file");
                // Without this, the retry would wait for the next revocation, which may be hours away.
                self.changed.notify_one();
                let _ = tokio::time::timeout(WAIT, stop.cancelled()).await;
            }
            if stopped {
                return;
            }
        }
    }

    fn state(&self) -> StateFile {
        self.with(|inner| StateFile {
            revoked: inner.live().map(|(id, at)| (id.to_owned(), at)).collect(),
            revoked_stamps: inner.stamps.clone(),
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Inner {
    fn add(&mut self, id: &str, at: u64) {
        if self.at.insert(id.to_owned(), at) != Some(at) {
            self.order.push_back((at, id.to_owned()));
        }
    }

    fn live(&self) -> impl Iterator<Item = (&str, u64)> {
        let live = self.order.iter().filter(|(at, id)| self.at.get(id) == Some(at));
        live.map(|(at, id)| (id.as_str(), *at))
    }

    fn purge(&mut self, now: u64) {
        while let Some((at, id)) = self.order.front() {
            let outdated = self.at.get(id) != Some(at);
            if !outdated && self.at.len() <= MAX_IDS && at.saturating_add(EXPIRES_SECS) > now {
                break;
            }
            if !outdated {
                self.at.remove(id);
            }
            self.order.pop_front();
        }
        // An id that is revoked again and again must not fill the queue.
        if self.order.len() > 2 * MAX_IDS {
            let live: VecDeque<_> = self.live().map(|(id, at)| (at, id.to_owned())).collect();
            self.order = live;
        }
    }
}

/// Celery accepts a single value in place of a list.
pub(crate) fn as_list(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) => items,
        one => std::slice::from_ref(one),
    }
}

fn stamp_is_short(stamp: &Value) -> bool {
    match stamp {
        Value::String(text) => text.len() <= MAX_ID,
        Value::Array(_) | Value::Object(_) => false,
        _ => true,
    }
}

/// Writes another file and renames it, so that the file is always complete.
fn write(state: &StateFile, file: &PathBuf) -> std::io::Result<()> {
    let text = serde_json::to_vec(state)?;
    // `state.w1` and `state.w2` each get their own.
    let mut beside = file.as_os_str().to_owned();
    beside.push(".new");
    {
        let mut new = std::fs::File::create(&beside)?;
        std::io::Write::write_all(&mut new, &text)?;
        new.sync_all()?;
    }
    std::fs::rename(beside, file)
}

fn now_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_id_is_revoked_until_it_expires_or_too_many_are_newer() {
        let revoked = RevokedTasks::default();
        revoked.add(["a", "b", "a"]);
        assert_eq!(revoked.ids(), ["a", "b"]);
        revoked.with(|inner| {
            inner.add("old", now_secs() - EXPIRES_SECS);
            inner.order.rotate_right(1);
        });
        assert!(!revoked.covers("old", &Map::new()) && revoked.covers("a", &Map::new()));
        let many: Vec<String> = (0..MAX_IDS).map(|number| number.to_string()).collect();
        revoked.add(many.iter().map(String::as_str));
        assert_eq!(revoked.ids().len(), MAX_IDS);
        assert!(!revoked.covers("a", &Map::new()) && revoked.covers("0", &Map::new()));
        for later in 1..4 {
            revoked.with(|inner| {
                many.iter().for_each(|id| inner.add(id, now_secs() + later));
                inner.purge(now_secs());
            });
        }
        assert!(revoked.with(|inner| inner.order.len()) <= 2 * MAX_IDS);
    }

    #[test]
    fn a_stamp_revokes_whatever_bears_it() {
        let revoked = RevokedTasks::default();
        revoked.add_stamps("tenant", &[json!("x"), json!(7)]);
        let covers = |stamps: Value| revoked.covers("id", stamps.as_object().unwrap());
        assert!(covers(json!({"tenant": "x"})) && covers(json!({"other": 1, "tenant": ["y", 7]})));
        assert!(!covers(json!({"tenant": "y"})) && !covers(json!({"other": "x"})) && !covers(json!({})));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_write_is_retried_without_another_change() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("missing");
        let (file, stop, revoked) =
            (missing.join("state.json"), CancellationToken::new(), RevokedTasks::default());
        revoked.add(["a"]);
        let written = async {
            while !file.exists() {
                tokio::time::sleep(WAIT).await;
                let _ = std::fs::create_dir(&missing);
            }
        };
        tokio::select! {
            () = revoked.keep(file.clone(), &stop) => {}
            written = tokio::time::timeout(WAIT * 100, written) => written.expect("it is written"),
        }
    }

    #[test]
    fn what_was_revoked_is_read_back_and_a_broken_file_is_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("state.json");
        let revoked = RevokedTasks::default();
        revoked.restore(&file);
        revoked.add(["a", "b"]);
        revoked.add_stamps("tenant", &[json!("x")]);
        write(&revoked.state(), &file).unwrap();
        let again = RevokedTasks::default();
        again.restore(&file);
        assert_eq!(again.ids(), ["a", "b"]);
        assert!(again.covers("c", json!({"tenant": "x"}).as_object().unwrap()));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        std::fs::write(&file, "{").unwrap();
        let anew = RevokedTasks::default();
        anew.restore(&file);
        assert!(anew.ids().is_empty());
    }
}
