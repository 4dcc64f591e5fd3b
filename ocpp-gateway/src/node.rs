//! What the sockets of one process share, and the lease of the process in the database.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use charging::chargers::{connections, nodes};
use charging::{Db, DbError, Tx};
use http_server::rate_limit::{Buckets, Rate};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::authorize::Authorizer;
use crate::config::OcppConfig;
use crate::large_frames::LargeFrames;
use crate::message_log::MessageLog;
use crate::sockets::Sockets;
use crate::vendors::Vendors;
use crate::writer::Writer;

/// How many handshakes look up their charger at once. The others wait in the order in which they came.
const HANDSHAKES_AT_ONCE: usize = 4;
/// How many attempts of unknown chargers from one address are noted in a minute. A charger comes again every minute or so and
/// is then among the newest, so the names of others do not drive it out of the inbox.
const UNKNOWN_A_MINUTE: NonZeroU32 = NonZeroU32::new(60).unwrap();
/// Chargers leave a node that stops within this part of its grace; the rest is for what they have said last.
const LEAVING: f64 = 0.75;
/// The least time between two that leave, on average, unless the grace is too short for all: they come to other nodes.
const APART: Duration = Duration::from_millis(100);
/// How many chargers are reclaimed in one transaction.
const RECLAIMED_AT_ONCE: usize = 50;

/// What the sockets of this process share.
pub(crate) struct Node {
    pub(crate) id: Uuid,
    pub(crate) config: OcppConfig,
    pub(crate) db: Db,
    pub(crate) sockets: Sockets,
    pub(crate) writer: Writer,
    pub(crate) log: MessageLog,
    pub(crate) authorizer: Authorizer,
    pub(crate) vendors: Vendors,
    pub(crate) handshakes: Semaphore,
    pub(crate) large_frames: LargeFrames,
    /// How often chargers of an address that are not known are noted.
    pub(crate) unknown: Buckets,
    /// The tasks of sockets, which are joined before the process ends.
    pub(crate) tasks: TaskTracker,
    /// Cancelled when the process is to stop.
    pub(crate) stopping: CancellationToken,
    /// How long stopping may take.
    pub(crate) grace: Duration,
}

impl Node {
    pub(crate) fn new(
        config: OcppConfig,
        db: Db,
        (writer, log, authorizer, vendors): (Writer, MessageLog, Authorizer, Vendors),
        grace: Duration,
    ) -> Self {
        Self {
            id: Uuid::now_v7(),
            large_frames: LargeFrames::new(config.max_frame),
            config,
            db,
            sockets: Sockets::default(),
            writer,
            log,
            authorizer,
            vendors,
            handshakes: Semaphore::new(HANDSHAKES_AT_ONCE),
            unknown: Buckets::new(Rate::per_minute(UNKNOWN_A_MINUTE)),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
            grace,
        }
    }

    /// When a socket leaves the node, which stops, and by when it has to.
    pub(crate) fn leaving(&self, station: Uuid, now: Instant) -> (Instant, Instant) {
        let within = self.grace.mul_f64(LEAVING);
        let sockets = u32::try_from(self.sockets.len()).unwrap_or(u32::MAX);
        let spread = within.min(APART.saturating_mul(sockets));
        // The end of an id is random.
        let [.., high, low] = station.into_bytes();
        let share = f64::from(u16::from_be_bytes([high, low])) / f64::from(u16::MAX);
        (now + spread.mul_f64(share), now + within)
    }

    /// Renews the lease until `stop`.
    pub(crate) async fn keep_lease(&self, stop: CancellationToken) {
        let mut lost = false;
        loop {
            match self.renew(&mut lost).await {
                Ok(()) => lost = false,
                Err(error) => tracing::warn!(%error, "the lease of this node could not be renewed"),
            }
            tokio::select! {
                () = tokio::time::sleep(nodes::RENEW_EVERY) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// If the lease had run out, others may have noted the chargers of this node as offline.
    async fn renew(&self, lost: &mut bool) -> Result<(), DbError> {
        let id = self.id;
        *lost |= self.db.write(async move |tx| nodes::renew(tx, id).await).await?;
        if !*lost {
            return Ok(());
        }
        let held = self.sockets.held();
        for some in held.chunks(RECLAIMED_AT_ONCE) {
            // By value, so that the future may go to another thread.
            let some = some.to_vec();
            self.db.write(async move |tx| reclaim(tx, &some, id).await).await?;
        }
        for (station, epoch) in held {
            // It has ended meanwhile, and may have been noted as such before it was reclaimed.
            if !self.sockets.holds(station, epoch) {
                self.db.write(async move |tx| connections::ended(tx, station, epoch, "closed").await).await?;
            }
        }
        Ok(())
    }

    /// Ends the lease: the node has no sockets any more.
    pub(crate) async fn end_lease(&self) {
        let id = self.id;
        if let Err(error) = self.db.write(async move |tx| nodes::end(tx, id).await).await {
            tracing::warn!(%error, "the lease of this node could not be ended; it runs out");
        }
    }
}

async fn reclaim(tx: &mut Tx, held: &[(Uuid, i64)], node: Uuid) -> Result<(), DbError> {
    for (station, epoch) in held {
        connections::reclaim(tx, *station, *epoch, node).await?;
    }
    Ok(())
}
