//! Decisions as they are made, by whichever worker: one task reads the feed for all who listen here, and only while
//! somebody does. Whoever cannot follow, or comes late, reads what is missing from the store.

use std::sync::Arc;
use std::time::Duration;

use store::{Fed, FeedPosition, Store, StoreError};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, broadcast};
use tokio_util::sync::CancellationToken;

const POLL_EVERY: Duration = Duration::from_millis(250);
/// Listeners of one process.
const LISTENERS: usize = 64;
/// Decisions read at once, and parts that a slow listener may be behind.
const AT_ONCE: usize = 100;
const BEHIND: usize = 16;

pub(crate) struct Decisions {
    store: Store,
    parts: broadcast::Sender<Arc<Part>>,
    places: Arc<Semaphore>,
    came: Notify,
    stopping: CancellationToken,
}

/// A part of the feed.
pub(crate) struct Part {
    /// What came up to here is in earlier parts, or was never told here.
    pub(crate) after: FeedPosition,
    pub(crate) fed: Fed,
}

/// Somebody who listens.
pub(crate) struct Listener {
    pub(crate) parts: broadcast::Receiver<Arc<Part>>,
    pub(crate) stopping: CancellationToken,
    store: Store,
    _place: OwnedSemaphorePermit,
}

impl Decisions {
    pub(crate) fn new(store: Store, stopping: CancellationToken) -> Self {
        let (parts, _) = broadcast::channel(BEHIND);
        Self { store, parts, places: Arc::new(Semaphore::new(LISTENERS)), came: Notify::new(), stopping }
    }

    /// Nothing where as many listen as may.
    pub(crate) fn listen(&self) -> Option<Listener> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let parts = self.parts.subscribe();
        self.came.notify_one();
        Some(Listener { parts, stopping: self.stopping.clone(), store: self.store.clone(), _place: place })
    }

    /// Tells those who listen, until dropped.
    pub(crate) async fn poll(&self) {
        loop {
            while self.parts.receiver_count() == 0 {
                self.came.notified().await;
            }
            if let Err(error) = self.poll_while_somebody_listens().await {
                tracing::warn!(%error, "the feed of decisions cannot be read for now");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }

    async fn poll_while_somebody_listens(&self) -> Result<(), StoreError> {
        let mut after = self.store.search.feed_end().await?;
        while self.parts.receiver_count() > 0 {
            let fed = self.store.search.feed_after(after, AT_ONCE).await?;
            let (position, more) = (fed.position, fed.more);
            if position != after {
                // Nobody listens any more, when it fails.
                let _ = self.parts.send(Arc::new(Part { after, fed }));
            }
            after = position;
            if !more {
                tokio::time::sleep(POLL_EVERY).await;
            }
        }
        Ok(())
    }
}

impl Listener {
    /// What the store has after a position.
    pub(crate) async fn catch_up(&self, after: FeedPosition) -> Result<Fed, StoreError> {
        self.store.search.feed_after(after, AT_ONCE).await
    }

    /// Where to begin: at the position that was seen last, or with what is decided from now on. And whether all that came
    /// after it is still there.
    pub(crate) async fn begin(&self, seen: Option<FeedPosition>) -> Result<(FeedPosition, bool), StoreError> {
        match seen {
            Some(seen) => Ok((seen, self.store.search.feed_holds(seen).await?)),
            None => Ok((self.store.search.feed_end().await?, true)),
        }
    }
}
