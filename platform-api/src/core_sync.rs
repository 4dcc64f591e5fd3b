//! Keeps acl-service up to date: which stations are public, and which tokens are members. One process at a time sends the
//! changes that transactions have noted, in their order. Both sides keep the number of the last ones. If the numbers
//! differ, Redis was lost or came back older, or a process stopped half-way; then both sets are written anew from the
//! database.
//!
//! acl-service being away delays changes and loses none, and no request waits for it.

mod rebuild;

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use authorization::{AclAdmin, AclAdminError};
use charging::core_sync::{self, Batch, States};
use charging::lease::Lease;
use charging::tokens::Member as PlatformMember;
use charging::{Db, DbError};
use common::ids::StationId;
use common::on_behalf_of::OnBehalfOf;
use metrics::gauge;
use store::{Member, PlatformVersion};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::metrics::CORE_CHANGES_WAITING;

const LEASE: &str = "core-sync";
const LEASE_SPAN: Duration = Duration::from_secs(20);
/// How long a change of another process may wait for the next look.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often the numbers are compared while there are no changes.
const COMPARE_EVERY: Duration = Duration::from_secs(2);
/// How often the changes that wait are counted.
const COUNT_EVERY: Duration = Duration::from_secs(2);
/// How many changes are sent at once.
const BATCH: i64 = 500;
const FIRST_WAIT: Duration = Duration::from_millis(250);
const MAX_WAIT: Duration = Duration::from_secs(5);

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
enum SyncError {
    #[error(transparent)]
    Database(#[from] DbError),
    #[error(transparent)]
    Core(#[from] AclAdminError),
    #[error("another process has changed acl-service meanwhile; both sets are written anew")]
    Interrupted,
    #[error("the lease was lost meanwhile")]
    NotHeld,
}

/// The work of one process.
struct CoreSync<'a> {
    db: &'a Db,
    admin: &'a AclAdmin,
    lease: Lease,
    /// When both numbers were last found to be the same.
    compared: Option<Instant>,
    /// How long the present outage has made it wait; `None` if there is none.
    waited: Option<Duration>,
}

/// Sends changes, and counts those that wait, until `shutdown`. It survives the loss of the database and of acl-service.
pub(crate) async fn run(db: &Db, admin: &AclAdmin, changed: &Notify, shutdown: CancellationToken) {
    tokio::join!(send_all(db, admin, changed, &shutdown), count(db, &shutdown));
}

/// Counts the changes that wait, also where another process sends them.
async fn count(db: &Db, shutdown: &CancellationToken) {
    loop {
        let counted = tokio::select! {
            counted = db.read(async |tx| core_sync::waiting(tx).await) => counted,
            () = shutdown.cancelled() => return,
        };
        if let Ok(changes) = counted {
            report_waiting(changes);
        }
        tokio::select! {
            () = tokio::time::sleep(COUNT_EVERY) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a metric")]
fn report_waiting(changes: i64) {
    gauge!(CORE_CHANGES_WAITING).set(changes as f64);
}

async fn send_all(db: &Db, admin: &AclAdmin, changed: &Notify, shutdown: &CancellationToken) {
    let lease = Lease::new(LEASE, LEASE_SPAN);
    let mut sync = CoreSync { db, admin, lease, compared: None, waited: None };
    loop {
        // From here on, so that no change is missed that is made during the step.
        let mut changed = pin!(changed.notified());
        changed.as_mut().enable();
        let stepped = tokio::select! {
            stepped = sync.step() => stepped,
            () = shutdown.cancelled() => break,
        };
        let wait = sync.after(stepped);
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = tokio::time::sleep(wait.unwrap_or(LOOK_EVERY)) => {}
            () = changed, if wait.is_none() => {}
        }
    }
    sync.lease.release(db).await;
}

impl CoreSync<'_> {
    /// Sends what there is to send.
    async fn step(&mut self) -> Result<(), SyncError> {
        while self.lease.hold(self.db).await? {
            let batch = self.db.read(async move |tx| core_sync::pending(tx, BATCH).await).await?;
            let is_due = self.compared.is_none_or(|compared| compared.elapsed() >= COMPARE_EVERY);
            if batch.is_empty() && !is_due {
                return Ok(());
            }
            if self.admin.version().await? != version(batch.version) {
                self.compared = None;
                self.rebuild(batch.version).await?;
                // The batch may have states that are older than those that were written.
                self.compared = Some(Instant::now());
                continue;
            }
            self.compared = Some(Instant::now());
            if batch.is_empty() {
                return Ok(());
            }
            self.send(Arc::new(batch)).await?;
        }
        Ok(())
    }

    async fn send(&self, batch: Arc<Batch>) -> Result<(), SyncError> {
        for (actor, states) in &batch.by_actor {
            let author = actor.as_deref().and_then(|actor| actor.parse::<OnBehalfOf>().ok());
            let admin = author.map_or_else(|| self.admin.clone(), |author| self.admin.on_behalf_of(author));
            send(&admin, states).await?;
        }
        // The store may have been lost after a part of them, and another process may have sent older states.
        if self.admin.version().await? != version(batch.version) {
            return self.interrupted().await;
        }
        self.admin.set_version(version(batch.next_version())).await?;
        match self.db.write(async move |tx| core_sync::sent(tx, &batch).await).await? {
            true => Ok(()),
            false => self.interrupted().await,
        }
    }

    /// Has both sets written anew.
    async fn interrupted(&self) -> Result<(), SyncError> {
        self.admin.set_version(None).await?;
        Err(SyncError::Interrupted)
    }

    /// How long to wait after a step that failed. The log has the begin and the end of an outage.
    fn after(&mut self, stepped: Result<(), SyncError>) -> Option<Duration> {
        self.waited = match (stepped, self.waited) {
            (Ok(()), None) => None,
            (Ok(()), Some(_)) => {
                tracing::info!("acl-service is up to date again");
                None
            }
            (Err(error), None) => {
                tracing::warn!(%error, "acl-service cannot be kept up to date; changes of access wait");
                Some(FIRST_WAIT)
            }
            (Err(_), Some(waited)) => Some((waited * 2).min(MAX_WAIT)),
        };
        self.waited
    }
}

async fn send(admin: &AclAdmin, states: &States) -> Result<(), AclAdminError> {
    let stations =
        |ids: &[uuid::Uuid]| -> Vec<StationId> { ids.iter().map(|id| StationId::from_uuid(*id)).collect() };
    for some in stations(&states.public).chunks(AclAdmin::MAX_CHANGES) {
        admin.change_public(some, &[]).await?;
    }
    for some in stations(&states.not_public).chunks(AclAdmin::MAX_CHANGES) {
        admin.change_public(&[], some).await?;
    }
    for some in members(&states.members).chunks(AclAdmin::MAX_CHANGES) {
        admin.change_members(some, &[]).await?;
    }
    for some in states.no_members.chunks(AclAdmin::MAX_CHANGES) {
        admin.change_members(&[], some).await?;
    }
    Ok(())
}

fn members(members: &[PlatformMember]) -> Vec<Member> {
    members
        .iter()
        .map(|member| {
            let until = member.until.map(|until| u64::try_from(until.millis()).unwrap_or_default());
            Member { token: member.driver_token.clone(), until }
        })
        .collect()
}

fn version(number: i64) -> Option<PlatformVersion> {
    u64::try_from(number).ok().and_then(PlatformVersion::new)
}
