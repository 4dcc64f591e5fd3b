//! What the sockets of one process share, and the lease of the process in the database.

use std::time::Duration;

use charging::chargers::nodes;
use charging::{Db, chargers};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::authorize::Authorizer;
use crate::config::OcppConfig;
use crate::message_log::MessageLog;
use crate::sockets::Sockets;
use crate::vendors::Vendors;
use crate::writer::Writer;

/// How many handshakes look up their charger at once. The others wait in the order in which they came.
const HANDSHAKES_AT_ONCE: usize = 4;
const RENEW_EVERY: Duration = Duration::from_secs(5);
const SWEPT_AT_ONCE: i64 = 50;
/// How long a command without a wait may stay unsent.
const UNSENT_FOR: Duration = Duration::from_secs(5);
/// The longest limit of a command, and a little more.
const UNANSWERED_FOR: Duration = Duration::from_secs(310);

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
    /// The tasks of sockets, which are joined before the process ends.
    pub(crate) tasks: TaskTracker,
    /// Cancelled when the process is to stop.
    pub(crate) stopping: CancellationToken,
}

impl Node {
    pub(crate) fn new(
        config: OcppConfig,
        db: Db,
        (writer, log, authorizer, vendors): (Writer, MessageLog, Authorizer, Vendors),
        stopping: CancellationToken,
    ) -> Self {
        Self {
            id: Uuid::now_v7(),
            config,
            db,
            sockets: Sockets::default(),
            writer,
            log,
            authorizer,
            vendors,
            handshakes: Semaphore::new(HANDSHAKES_AT_ONCE),
            tasks: TaskTracker::new(),
            stopping,
        }
    }

    /// Renews the lease, notes as offline what other nodes have lost, and ends commands that stayed behind, until `stop`.
    pub(crate) async fn keep_lease(&self, stop: CancellationToken) {
        loop {
            if let Err(error) = self.renew().await {
                tracing::warn!(%error, "the lease of this node could not be renewed");
            }
            tokio::select! {
                () = tokio::time::sleep(RENEW_EVERY) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn renew(&self) -> Result<(), charging::DbError> {
        let id = self.id;
        self.db.write(async move |tx| nodes::renew(tx, id).await).await?;
        self.db.write(async |tx| nodes::sweep(tx, SWEPT_AT_ONCE).await).await?;
        let sweep = async |tx: &mut charging::Tx| {
            chargers::commands::sweep(tx, UNSENT_FOR, UNANSWERED_FOR, SWEPT_AT_ONCE).await
        };
        self.db.write(sweep).await.map(drop)
    }

    /// Ends the lease: the node has no sockets any more.
    pub(crate) async fn end_lease(&self) {
        let id = self.id;
        if let Err(error) = self.db.write(async move |tx| nodes::end(tx, id).await).await {
            tracing::warn!(%error, "the lease of this node could not be ended; it runs out");
        }
    }
}
