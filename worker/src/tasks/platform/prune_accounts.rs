//! Deletes what is kept no longer of accounts: sign-ins, used refresh tokens, codes, the audit trail.

use std::sync::Arc;

use async_trait::async_trait;
use charging::At;
use charging::accounts::{audit, codes, sign_ins};
use task_queue::{Outcome, Task, TaskContext};

use super::PlatformParts;
use super::prune::{NoArguments, PIECE, prune};

/// `voltgate.platform.prune_accounts`.
pub(crate) struct PruneAccounts(pub(super) Arc<PlatformParts>);

#[async_trait]
impl Task for PruneAccounts {
    const NAME: &'static str = "voltgate.platform.prune_accounts";
    const PARAMETERS: &'static [&'static str] = &[];
    const IGNORE_RESULT: bool = true;
    type Args = NoArguments;

    async fn run(&self, _: NoArguments, context: TaskContext) -> Outcome {
        let db = &self.0.db;
        let piece = || async move {
            let (now, limit) = (At::now(), i64::from(PIECE));
            let used = now.minus(sign_ins::USED_KEPT_FOR);
            let audited = now.minus(audit::KEPT_FOR);
            let deleted = [
                db.write(async move |tx| sign_ins::prune(tx, now, limit).await).await?,
                db.write(async move |tx| sign_ins::prune_tokens(tx, used, limit).await).await?,
                db.write(async move |tx| codes::prune(tx, now, limit).await).await?,
                db.write(async move |tx| audit::prune(tx, audited, limit).await).await?,
            ];
            // A whole piece of one of them asks for another round.
            Ok(deleted.into_iter().max().unwrap_or_default())
        };
        let outcome = prune(Self::NAME, &context, piece).await;
        if let Err(error) = db.truncate_log().await {
            tracing::debug!(%error, "the write-ahead log could not be emptied; the next run tries it again");
        }
        outcome
    }
}
