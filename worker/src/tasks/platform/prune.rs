//! Deletes what is kept no longer: events, idempotency keys, the log of statuses, messages of
//! chargers, commands, mails that have ended. Each goes in small
//! transactions, so that no other one waits for long.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use charging::chargers::{commands, messages};
use charging::stations::status_log;
use charging::{At, DbError, events, idempotency, notifications};
use serde::Deserialize;
use task_queue::{Outcome, Task, TaskContext};

use super::{PlatformParts, failed};

/// How many rows are deleted in one transaction.
pub(super) const PIECE: u16 = 500;
/// How long one run may take. The next one continues.
const LIMIT: Duration = Duration::from_secs(30);

/// No arguments.
#[derive(Debug, Deserialize)]
pub(crate) struct NoArguments {}

/// `voltgate.platform.prune_events`.
pub(crate) struct PruneEvents(pub(super) Arc<PlatformParts>);
/// `voltgate.platform.prune_idempotency_keys`.
pub(crate) struct PruneIdempotencyKeys(pub(super) Arc<PlatformParts>);
/// `voltgate.platform.prune_status_log`.
pub(crate) struct PruneStatusLog(pub(super) Arc<PlatformParts>);
/// `voltgate.platform.prune_charger_messages`.
pub(crate) struct PruneChargerMessages(pub(super) Arc<PlatformParts>);
/// `voltgate.platform.prune_commands`.
pub(crate) struct PruneCommands(pub(super) Arc<PlatformParts>);
/// `voltgate.platform.prune_mails`.
pub(crate) struct PruneMails(pub(super) Arc<PlatformParts>);

#[async_trait]
impl Task for PruneEvents {
    const NAME: &'static str = "voltgate.platform.prune_events";
    const PARAMETERS: &'static [&'static str] = &[];
    const IGNORE_RESULT: bool = true;
    type Args = NoArguments;

    async fn run(&self, _: NoArguments, context: TaskContext) -> Outcome {
        let (parts, published) = (&self.0, self.0.events_are_published);
        let before = At::now().minus(parts.events_retention);
        let piece =
            || parts.db.write(async move |tx| events::prune(tx, before, i64::from(PIECE), published).await);
        prune(Self::NAME, &context, piece).await
    }
}

#[async_trait]
impl Task for PruneIdempotencyKeys {
    const NAME: &'static str = "voltgate.platform.prune_idempotency_keys";
    const PARAMETERS: &'static [&'static str] = &[];
    const IGNORE_RESULT: bool = true;
    type Args = NoArguments;

    async fn run(&self, _: NoArguments, context: TaskContext) -> Outcome {
        let before = At::now().minus(idempotency::KEPT);
        let piece =
            || self.0.db.write(async move |tx| idempotency::prune(tx, before, i64::from(PIECE)).await);
        prune(Self::NAME, &context, piece).await
    }
}

#[async_trait]
impl Task for PruneStatusLog {
    const NAME: &'static str = "voltgate.platform.prune_status_log";
    const PARAMETERS: &'static [&'static str] = &[];
    const IGNORE_RESULT: bool = true;
    type Args = NoArguments;

    async fn run(&self, _: NoArguments, context: TaskContext) -> Outcome {
        let before = At::now().minus(status_log::KEPT_FOR);
        let piece = || self.0.db.write(async move |tx| status_log::prune(tx, before, i64::from(PIECE)).await);
        prune(Self::NAME, &context, piece).await
    }
}

#[async_trait]
impl Task for PruneChargerMessages {
    const NAME: &'static str = "voltgate.platform.prune_charger_messages";
    const PARAMETERS: &'static [&'static str] = &[];
    const IGNORE_RESULT: bool = true;
    type Args = NoArguments;

    async fn run(&self, _: NoArguments, context: TaskContext) -> Outcome {
        let before = At::now().minus(self.0.messages_retention);
        let piece = || self.0.db.write(async move |tx| messages::prune(tx, before, i64::from(PIECE)).await);
        prune(Self::NAME, &context, piece).await
    }
}

#[async_trait]
impl Task for PruneCommands {
    const NAME: &'static str = "voltgate.platform.prune_commands";
    const PARAMETERS: &'static [&'static str] = &[];
    const IGNORE_RESULT: bool = true;
    type Args = NoArguments;

    async fn run(&self, _: NoArguments, context: TaskContext) -> Outcome {
        let before = At::now().minus(commands::KEPT_FOR);
        let piece = || self.0.db.write(async move |tx| commands::prune(tx, before, i64::from(PIECE)).await);
        prune(Self::NAME, &context, piece).await
    }
}

#[async_trait]
impl Task for PruneMails {
    const NAME: &'static str = "voltgate.platform.prune_mails";
    const PARAMETERS: &'static [&'static str] = &[];
    const IGNORE_RESULT: bool = true;
    type Args = NoArguments;

    async fn run(&self, _: NoArguments, context: TaskContext) -> Outcome {
        let before = At::now().minus(notifications::KEPT_FOR);
        let piece =
            || self.0.db.write(async move |tx| notifications::prune(tx, before, i64::from(PIECE)).await);
        prune(Self::NAME, &context, piece).await
    }
}

/// Deletes piece by piece, until less than a whole piece was left, the limit is over, or the worker stops.
pub(super) async fn prune<F>(task: &'static str, context: &TaskContext, piece: impl Fn() -> F) -> Outcome
where
    F: Future<Output = Result<u64, DbError>>,
{
    let (began, mut deleted) = (Instant::now(), 0);
    loop {
        match piece().await {
            Ok(rows) => {
                deleted += rows;
                if rows < u64::from(PIECE) {
                    break;
                }
            }
            Err(error) => {
                tracing::warn!(task, %error, "rows that are due could not be deleted");
                return failed(&error);
            }
        }
        if began.elapsed() > LIMIT || context.cancel.is_cancelled() {
            break;
        }
    }
    tracing::debug!(task, deleted, "rows that were due are deleted");
    Outcome::Done
}
