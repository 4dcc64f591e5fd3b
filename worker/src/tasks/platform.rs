//! The platform's tasks. They have no client: what fails is logged, and the next run of a periodic task does its work.

mod prune;
mod prune_accounts;
mod send_mails;

use std::sync::Arc;
use std::time::Duration;

use charging::{Db, DbError};
use task_queue::task::DuplicateTask;
use task_queue::{Broker, Failure, Outcome, Retry, Tasks};

use crate::config::PlatformConfig;
use crate::mail::Mailer;
pub(crate) use prune::{
    PruneChargerMessages, PruneCommands, PruneEvents, PruneIdempotencyKeys, PruneMails, PruneStatusLog,
};
pub(crate) use prune_accounts::PruneAccounts;
pub(crate) use send_mails::SendMails;

/// How long a task waits for a database that is away, before it is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// The parts that the platform's tasks work with.
pub(crate) struct PlatformParts {
    db: Db,
    events_retention: Duration,
    messages_retention: Duration,
    /// Whether events go to an exchange. If so, only published ones may be deleted.
    events_are_published: bool,
    mails: send_mails::Sender,
}

impl PlatformParts {
    pub(crate) fn new(config: &PlatformConfig, db: Db, broker: &dyn Broker) -> Self {
        Self {
            db,
            events_retention: config.events_retention,
            messages_retention: config.messages_retention,
            events_are_published: broker.bus().is_some(),
            mails: send_mails::Sender::new(Mailer::new(&config.mail)),
        }
    }
}

/// Adds every task of the platform.
pub(super) fn register(tasks: Tasks, parts: &Arc<PlatformParts>) -> Result<Tasks, DuplicateTask> {
    tasks
        .register(PruneEvents(Arc::clone(parts)))?
        .register(PruneIdempotencyKeys(Arc::clone(parts)))?
        .register(PruneStatusLog(Arc::clone(parts)))?
        .register(PruneChargerMessages(Arc::clone(parts)))?
        .register(PruneCommands(Arc::clone(parts)))?
        .register(PruneMails(Arc::clone(parts)))?
        .register(PruneAccounts(Arc::clone(parts)))?
        .register(SendMails(Arc::clone(parts)))
}

/// The outcome of a task that the database failed. It is never dead-lettered for that.
fn failed(error: &DbError) -> Outcome {
    let failure = Failure::of("voltgate", "DatabaseError", vec![error.to_string().into()]);
    if !error.is_transient() {
        return failure.into();
    }
    Retry { failure: Some(failure), ..Retry::after(RETRY_AFTER) }.into()
}
