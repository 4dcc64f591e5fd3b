//! Decisions as they are made, by any worker. One task reads the feed for all listeners of this process, and only while
//! there are any. A listener that is too slow, or comes late, reads the missing decisions from the store.

use std::sync::Arc;
use std::time::Duration;

use store::{Fed, FeedPosition, Store, StoreError};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, broadcast};
use tokio_util::sync::CancellationToken;

const POLL_EVERY: Duration = Duration::from_millis(250);
/// Maximum number of listeners in one process.
const LISTENERS: usize = 64;
/// Maximum decisions in one read, and maximum parts that a slow listener may lag.
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
    /// Decisions up to this position are in earlier parts, or were never sent here.
    pub(crate) after: FeedPosition,
    pub(crate) fed: Fed,
}

/// A client of the feed.
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

    /// Returns `None` if the maximum number of listeners is reached.
    pub(crate) fn listen(&self) -> Option<Listener> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let parts = self.parts.subscribe();
        self.came.notify_one();
        Some(Listener { parts, stopping: self.stopping.clone(), store: self.store.clone(), _place: place })
    }

    /// Sends new decisions to the listeners, until dropped.
    pub(crate) async fn poll(&self) {
        loop {
            while self.parts.receiver_count() == 0 {
                self.came.notified().await;
            }
            if let Err(error) = self.poll_while_somebody_listens().await {
                tracing::warn!(%error, "the feed of decisions cannot be read at present");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }

    async fn poll_while_somebody_listens(&self) -> Result<(), StoreError> {
        let mut after = self.store.search().feed_end().await?;
        // A listener that began before this end was read would wait for decisions up to it: it reads them from the store.
        let fed = Fed { records: Vec::new(), position: after, more: false };
        let _ = self.parts.send(Arc::new(Part { after, fed }));
        while self.parts.receiver_count() > 0 {
            let fed = self.store.search().feed_after(after, AT_ONCE).await?;
            let (position, more) = (fed.position, fed.more);
            if position != after {
                // It fails only if no listener is left.
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
    /// The stored decisions after a position.
    pub(crate) async fn catch_up(&self, after: FeedPosition) -> Result<Fed, StoreError> {
        self.store.search().feed_after(after, AT_ONCE).await
    }

    /// The position to begin at: the position last seen, or the current end of the feed. Also returns whether all
    /// decisions after it are still stored.
    pub(crate) async fn begin(&self, seen: Option<FeedPosition>) -> Result<(FeedPosition, bool), StoreError> {
        match seen {
            Some(seen) => Ok((seen, self.store.search().feed_holds(seen).await?)),
            None => Ok((self.store.search().feed_end().await?, true)),
        }
    }
}
