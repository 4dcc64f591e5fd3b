//! Notes of what was accepted, so that a request is known between its `202` and the worker that takes it. They are written
//! behind the answers' back, many at once; until one is written this process remembers it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::ids::RequestId;
use store::{Accepted, Store};
use tokio::sync::Notify;

/// Beyond so many, while the store is away, a request is not noted; it is decided all the same.
const MOST: usize = 10_000;
const AT_ONCE: usize = 256;
const AFTER_A_FAILURE: Duration = Duration::from_secs(1);
/// How long stopping may wait for the last ones.
const LAST_ONES: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(crate) struct AcceptedNotes {
    waiting: Mutex<HashMap<RequestId, Accepted>>,
    added: Notify,
}

impl AcceptedNotes {
    /// Never waits.
    pub(crate) fn add(&self, accepted: Accepted) {
        let mut waiting = self.waiting();
        if waiting.len() < MOST {
            waiting.insert(accepted.request_id, accepted);
        }
        drop(waiting);
        self.added.notify_one();
    }

    /// One that is not written yet.
    pub(crate) fn find(&self, request: RequestId) -> Option<Accepted> {
        self.waiting().get(&request).cloned()
    }

    /// Writes what is added, until dropped.
    pub(crate) async fn write(&self, store: &Store) {
        loop {
            match self.write_some(store).await {
                Some(true) => {}
                Some(false) => tokio::time::sleep(AFTER_A_FAILURE).await,
                None => self.added.notified().await,
            }
        }
    }

    /// Writes what is left, as far as it can be done soon.
    pub(crate) async fn finish(&self, store: &Store) {
        let writing = async { while self.write_some(store).await == Some(true) {} };
        if tokio::time::timeout(LAST_ONES, writing).await.is_err() {
            tracing::warn!("the last accepted requests could not be noted; they are decided all the same");
        }
    }

    /// Whether it went well; nothing where there is none to write.
    async fn write_some(&self, store: &Store) -> Option<bool> {
        let some: Vec<Accepted> = self.waiting().values().take(AT_ONCE).cloned().collect();
        if some.is_empty() {
            return None;
        }
        let written = store.records.accepted(&some).await;
        match &written {
            Ok(()) => {
                let mut waiting = self.waiting();
                for accepted in &some {
                    waiting.remove(&accepted.request_id);
                }
            }
            Err(error) => tracing::warn!(%error, "accepted requests cannot be noted for now"),
        }
        Some(written.is_ok())
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<RequestId, Accepted>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
