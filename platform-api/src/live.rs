//! What happens, live: as server-sent events and over a WebSocket. One task reads the outbox for all streams of this process,
//! so a stream costs no query, and its text is shared.

mod event;
mod resume;
mod socket;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use ::metrics::gauge;
use charging::events::Written;
use charging::{Db, DbError, events};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, broadcast, watch};
use tokio_util::sync::CancellationToken;

pub(crate) use self::event::LiveEvent;
use self::event::{AccountChange, Shown};
pub(crate) use self::socket::{__path_socket, socket};
pub(crate) use self::stream::{__path_stream, stream};
use crate::metrics::LIVE_STREAMS;

const POLL_EVERY: Duration = Duration::from_millis(100);
const AFTER_A_FAILURE: Duration = Duration::from_secs(1);
const AT_ONCE: i64 = 500;
/// How many events a stream may lag behind. One that lags further reads them from the outbox.
const BEHIND: usize = 1024;

/// The live events of this process. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Live {
    db: Db,
    sender: broadcast::Sender<Arc<Shown>>,
    accounts: broadcast::Sender<AccountChange>,
    /// The position up to which events were sent to the streams; `None` until the outbox was read for the first time.
    position: watch::Sender<Option<i64>>,
    permits: Arc<Semaphore>,
    /// Notified when this process has written an event.
    written: Arc<Written>,
    /// Notified then too: what acl-service must learn may have changed.
    changed: Arc<Notify>,
    stopping: CancellationToken,
}

/// One stream.
pub(crate) struct Listener {
    pub(crate) db: Db,
    pub(crate) events: broadcast::Receiver<Arc<Shown>>,
    /// Events up to this position were sent before the stream began, or while it was behind: they are read from the outbox.
    pub(crate) position: i64,
    latest: watch::Receiver<Option<i64>>,
    pub(crate) stopping: CancellationToken,
    _permit: Permit,
}

/// A permit for one stream, counted in the metrics.
struct Permit(OwnedSemaphorePermit);

impl Live {
    pub(crate) fn new(db: Db, streams: usize, stopping: CancellationToken) -> Self {
        let (sender, _) = broadcast::channel(BEHIND);
        let (accounts, _) = broadcast::channel(BEHIND);
        let (position, _) = watch::channel(None);
        gauge!(LIVE_STREAMS).set(0.0);
        let (permits, written) = (Arc::new(Semaphore::new(streams)), Arc::new(Written::new()));
        let changed = Arc::new(Notify::new());
        Self { db, sender, accounts, position, permits, written, changed, stopping }
    }

    /// What wakes the relay.
    pub(crate) fn written(&self) -> &Written {
        &self.written
    }

    /// What wakes the bridge to acl-service.
    pub(crate) fn changed(&self) -> &Notify {
        &self.changed
    }

    /// Says that this process has written an event, so that it need not wait for the next look at the outbox.
    pub(crate) fn wake(&self) {
        self.written.notify_one();
        self.changed.notify_one();
    }

    /// A new stream; `None` if the maximum number of streams is open. Waits until the outbox can be read.
    pub(super) async fn listen(&self) -> Option<(Listener, broadcast::Receiver<AccountChange>)> {
        let permit = Permit::new(Arc::clone(&self.permits).try_acquire_owned().ok()?);
        // First: no event after the position is missed then.
        let events = self.sender.subscribe();
        let accounts = self.accounts.subscribe();
        let mut latest = self.position.subscribe();
        let position = latest.wait_for(Option::is_some).await.ok().and_then(|position| *position)?;
        let (db, stopping) = (self.db.clone(), self.stopping.clone());
        Some((Listener { db, events, position, latest, stopping, _permit: permit }, accounts))
    }

    /// Reads the outbox and sends its events to the streams, until dropped.
    pub(crate) async fn feed(&self) {
        loop {
            match self.step().await {
                Ok(true) => {}
                Ok(false) => tokio::time::sleep(POLL_EVERY).await,
                Err(error) => {
                    tracing::warn!(%error, "the outbox cannot be read at present");
                    tokio::time::sleep(AFTER_A_FAILURE).await;
                }
            }
        }
    }

    /// Returns whether there may be more.
    async fn step(&self) -> Result<bool, DbError> {
        let Some(position) = *self.position.borrow() else {
            let state = self.db.read(async move |tx| events::state(tx).await).await?;
            self.position.send_replace(Some(state.last_position));
            return Ok(true);
        };
        let found = self.db.read(async move |tx| events::after(tx, position, AT_ONCE).await).await?;
        let more = i64::try_from(found.len()).is_ok_and(|found| found == AT_ONCE);
        for event in found {
            let position = event.position;
            // First: a stream that begins in between would otherwise miss the event. It drops what it gets twice.
            self.position.send_replace(Some(position));
            if let Some(change) = AccountChange::of(&event) {
                let _ = self.accounts.send(change);
            }
            if let Some(shown) = Shown::of(&event) {
                // An error means that there is no stream.
                let _ = self.sender.send(Arc::new(shown));
            }
        }
        Ok(more)
    }
}

impl Permit {
    fn new(permit: OwnedSemaphorePermit) -> Self {
        gauge!(LIVE_STREAMS).increment(1.0);
        Self(permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        gauge!(LIVE_STREAMS).decrement(1.0);
        let _ = &self.0;
    }
}
