//! Notes of accepted requests, so that a request is known between its `202` and the worker that takes it. They are
//! written in the background, in batches, and only for requests that are not decided at once: the others need none.
//! Until then this process remembers them.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use common::ids::RequestId;
use store::{Accepted, Store};
use tokio::sync::Notify;

/// If more requests than this are waiting while the store is unavailable, further requests get no note. They are
/// decided nevertheless.
const MAX_WAITING: usize = 10_000;
const AT_ONCE: usize = 512;
const AFTER_A_FAILURE: Duration = Duration::from_secs(1);
/// Most requests are decided, and so known, within this time. Together with the batching delay it is shorter than the
/// time for which another process looks for a young request that it does not know (`requests.rs`).
const AFTER: Duration = Duration::from_millis(200);
/// The batching delay. Without it, under load each note would be a call of its own.
const GATHERED_FOR: Duration = Duration::from_millis(50);
/// How long shutdown may wait for the last notes.
const LAST_ONES: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(crate) struct AcceptedNotes {
    /// The requests, oldest first.
    waiting: Mutex<VecDeque<(Instant, Accepted)>>,
    added: Notify,
}

impl AcceptedNotes {
    /// Adds a request. It never waits.
    pub(crate) fn add(&self, accepted: Accepted) {
        let mut waiting = self.waiting();
        let first = waiting.is_empty();
        if waiting.len() < MAX_WAITING {
            waiting.push_back((Instant::now(), accepted));
        }
        drop(waiting);
        if first {
            self.added.notify_one();
        }
    }

    /// Finds a request whose note is not written yet.
    pub(crate) fn find(&self, request: RequestId) -> Option<Accepted> {
        self.waiting()
            .iter()
            .map(|(_, accepted)| accepted)
            .find(|accepted| accepted.request_id == request)
            .cloned()
    }

    /// Writes the notes that are added, until dropped.
    pub(crate) async fn write(&self, store: &Store) {
        loop {
            let oldest = self.waiting().front().map(|(added, _)| *added);
            match oldest {
                None => self.added.notified().await,
                Some(added) => {
                    tokio::time::sleep_until((added + AFTER + GATHERED_FOR).into()).await;
                    if !self.write_some(store, AFTER).await {
                        tokio::time::sleep(AFTER_A_FAILURE).await;
                    }
                }
            }
        }
    }

    /// Writes the remaining notes, as far as that is possible within the limit.
    pub(crate) async fn finish(&self, store: &Store) {
        let writing =
            async { while !self.waiting().is_empty() && self.write_some(store, Duration::ZERO).await {} };
        if tokio::time::timeout(LAST_ONES, writing).await.is_err() {
            tracing::warn!("the last accepted requests have no notes; they are decided nevertheless");
        }
    }

    /// Writes a batch of the notes that have waited this long. Returns whether it succeeded.
    async fn write_some(&self, store: &Store, waited: Duration) -> bool {
        let some: Vec<Accepted> = {
            let waiting = self.waiting();
            let old = waiting.iter().take_while(|(added, _)| added.elapsed() >= waited);
            old.take(AT_ONCE).map(|(_, accepted)| accepted.clone()).collect()
        };
        if let Err(error) = store.records().accepted(&some).await {
            tracing::warn!(%error, "notes of accepted requests cannot be written at present");
            return false;
        }
        self.waiting().drain(..some.len());
        true
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<(Instant, Accepted)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
