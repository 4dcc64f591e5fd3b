//! The scheduler: publishes each periodic task when it is due. One process at a time does, by a lease. A due time is moved
//! on only after the task is confirmed, so a task may be published twice, and is never left out.

use std::time::Duration;

use charging::lease::Lease;
use charging::{Db, DbError, periodic};
use platform_queue::PlatformQueue;
use task_queue::{PublishError, Task};
use tokio_util::sync::CancellationToken;

use crate::tasks::platform::{
    PruneAccounts, PruneChargerMessages, PruneCommands, PruneEvents, PruneIdempotencyKeys, PruneMails,
    PruneStatusLog, SendMails,
};

const LEASE: &str = "scheduler";
/// Longer than the longest tick, so that the lease is not lost between two.
const LEASE_SPAN: Duration = Duration::from_secs(10);
const MINUTE: Duration = Duration::from_secs(60);

/// Every periodic task.
pub const PERIODIC: &[Periodic] = &[
    Periodic { task: PruneEvents::NAME, every: MINUTE },
    Periodic { task: PruneIdempotencyKeys::NAME, every: MINUTE.saturating_mul(10) },
    Periodic { task: PruneStatusLog::NAME, every: MINUTE.saturating_mul(60) },
    Periodic { task: PruneChargerMessages::NAME, every: MINUTE.saturating_mul(10) },
    Periodic { task: PruneCommands::NAME, every: MINUTE.saturating_mul(60) },
    Periodic { task: PruneAccounts::NAME, every: MINUTE.saturating_mul(10) },
    Periodic { task: PruneMails::NAME, every: MINUTE.saturating_mul(60) },
    Periodic { task: SendMails::NAME, every: Duration::from_secs(2) },
];

/// A task that runs again and again.
#[derive(Debug, Clone, Copy)]
pub struct Periodic {
    /// The name of the task, which has no arguments.
    pub task: &'static str,
    /// The interval between two runs.
    pub every: Duration,
}

/// Publishes periodic tasks.
#[derive(Debug)]
pub struct Scheduler {
    tasks: &'static [Periodic],
    queue: PlatformQueue,
    tick: Duration,
}

/// Why a due task could not be published.
#[derive(Debug, thiserror::Error)]
enum SchedulerError {
    #[error(transparent)]
    Database(#[from] DbError),
    #[error(transparent)]
    Broker(#[from] PublishError),
}

impl Scheduler {
    /// A scheduler that looks every `tick` for what is due of these tasks.
    pub fn new(tasks: &'static [Periodic], queue: PlatformQueue, tick: Duration) -> Self {
        Self { tasks, queue, tick }
    }

    /// Publishes what is due until `shutdown`. It survives the loss of the database and of the broker.
    pub async fn run(&self, db: &Db, shutdown: CancellationToken) {
        let mut lease = Lease::new(LEASE, LEASE_SPAN.max(self.tick * 4));
        let (mut known, mut failing) = (false, false);
        loop {
            let looked = tokio::select! {
                looked = self.look(db, &mut lease, &mut known) => looked,
                () = shutdown.cancelled() => break,
            };
            match looked {
                Ok(()) if failing => tracing::info!("periodic tasks are scheduled again"),
                Err(ref error) if !failing => {
                    tracing::warn!(%error, "periodic tasks cannot be scheduled; trying again");
                }
                _ => {}
            }
            failing = looked.is_err();
            if failing {
                // Another process may reach what this one does not.
                lease.release(db).await;
            }
            tokio::select! {
                () = tokio::time::sleep(self.tick) => {}
                () = shutdown.cancelled() => break,
            }
        }
        lease.release(db).await;
    }

    async fn look(&self, db: &Db, lease: &mut Lease, known: &mut bool) -> Result<(), SchedulerError> {
        if !lease.hold(db).await? {
            return Ok(());
        }
        if !*known {
            self.add_new(db).await?;
            *known = true;
        }
        let due = db.read(async |tx| periodic::due(tx).await).await?;
        for (name, since) in due {
            // A later or an earlier version may have other tasks, and schedules them itself.
            let Some(task) = self.tasks.iter().copied().find(|task| task.task == name) else { continue };
            self.queue.publish(task.task).await?;
            db.write(async move |tx| task.move_on(tx, since).await).await?;
            tracing::debug!(task = task.task, "published a periodic task");
        }
        Ok(())
    }

    async fn add_new(&self, db: &Db) -> Result<(), DbError> {
        for task in self.tasks.iter().copied() {
            db.write(async move |tx| task.add(tx).await).await?;
        }
        Ok(())
    }
}

impl Periodic {
    async fn add(self, tx: &mut charging::Tx) -> Result<(), DbError> {
        periodic::add(tx, self.task).await
    }

    async fn move_on(self, tx: &mut charging::Tx, since: charging::At) -> Result<(), DbError> {
        periodic::move_on(tx, self.task, since, self.every).await
    }
}
