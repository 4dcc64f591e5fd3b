//! Notes of what was accepted, so that a request is known between its `202` and the worker that takes it. They are written
//! behind the answers' back, many at once, for those that are not decided within a moment: the others need none. Until then
//! this process remembers them.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use common::ids::RequestId;
use store::{Accepted, Store};
use tokio::sync::Notify;

/// Beyond so many, while the store is away, a request is not noted; it is decided all the same.
const MOST: usize = 10_000;
const AT_ONCE: usize = 512;
const AFTER_A_FAILURE: Duration = Duration::from_secs(1);
/// Most are decided by then, and known. With what follows, shorter than another process looks for a young request that it
/// does not know (`requests.rs`).
const AFTER: Duration = Duration::from_millis(200);
/// Under load each would have a call of its own.
const GATHERED_FOR: Duration = Duration::from_millis(50);
/// How long stopping may wait for the last ones.
const LAST_ONES: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(crate) struct AcceptedNotes {
    /// The oldest first.
    waiting: Mutex<VecDeque<(Instant, Accepted)>>,
    added: Notify,
}

impl AcceptedNotes {
    /// Never waits.
    pub(crate) fn add(&self, accepted: Accepted) {
        let mut waiting = self.waiting();
        let first = waiting.is_empty();
        if waiting.len() < MOST {
            waiting.push_back((Instant::now(), accepted));
        }
        drop(waiting);
        if first {
            self.added.notify_one();
        }
    }

    /// One that is not written yet.
    pub(crate) fn find(&self, request: RequestId) -> Option<Accepted> {
        self.waiting()
            .iter()
            .map(|(_, accepted)| accepted)
            .find(|accepted| accepted.request_id == request)
            .cloned()
    }

    /// Writes what is added, until dropped.
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

    /// Writes what is left, as far as it can be done soon.
    pub(crate) async fn finish(&self, store: &Store) {
        let writing =
            async { while !self.waiting().is_empty() && self.write_some(store, Duration::ZERO).await {} };
        if tokio::time::timeout(LAST_ONES, writing).await.is_err() {
            tracing::warn!("the last accepted requests could not be noted; they are decided all the same");
        }
    }

    /// Writes some of those that have waited for so long. Whether it went well.
    async fn write_some(&self, store: &Store, waited: Duration) -> bool {
        let some: Vec<Accepted> = {
            let waiting = self.waiting();
            let old = waiting.iter().take_while(|(added, _)| added.elapsed() >= waited);
            old.take(AT_ONCE).map(|(_, accepted)| accepted.clone()).collect()
        };
        if let Err(error) = store.records.accepted(&some).await {
            tracing::warn!(%error, "accepted requests cannot be noted for now");
            return false;
        }
        self.waiting().drain(..some.len());
        true
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<(Instant, Accepted)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
