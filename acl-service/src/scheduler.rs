//! Adds entries to their lists when they begin and removes them when they end. Every acl-service does it; a claim by
//! one keeps the others off.

use std::time::Duration;

use store::{AccessStore, AuditedChange, Claim, Counts, Due, Effect, Step, StoreError};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::actor::Actor;
use crate::changes::{Changes, about};
use crate::validity;

/// An entry is added or removed within a second of its time.
const EVERY: Duration = Duration::from_millis(400);
const BATCH: u32 = 500;

/// Works off the schedule until `shutdown`, then finishes the current claim. A step that fails is claimed again after
/// its lease, by any instance.
pub(crate) async fn run(store: &AccessStore, shutdown: CancellationToken) {
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        tokio::select! {
            _ = every.tick() => {}
            () = shutdown.cancelled() => return,
        }
        match work_off(store, &shutdown).await {
            Ok(()) => failing = false,
            // Logged once and not at each try: the store's errors are logged wherever it is used.
            Err(error) if !failing => {
                failing = true;
                tracing::warn!(%error, "scheduled entries cannot be added or removed at present");
            }
            Err(_) => {}
        }
    }
}

async fn work_off(store: &AccessStore, shutdown: &CancellationToken) -> Result<(), StoreError> {
    while !shutdown.is_cancelled() {
        let claim = store.schedule.claim(validity::now(), BATCH).await?;
        if claim.due.is_empty() {
            return Ok(());
        }
        settle(store, &claim).await?;
        tracing::debug!(entries = claim.due.len(), "scheduled entries were settled");
    }
    Ok(())
}

async fn settle(store: &AccessStore, claim: &Claim) -> Result<(), StoreError> {
    let steps: Vec<AuditedChange> = claim.due.iter().filter_map(audited).collect();
    if steps.is_empty() {
        return store.schedule.settle(claim).await;
    }
    let changes = Changes::new(store, Actor::scheduler(), "schedule");
    let applied = steps.len() as u64;
    changes.request(steps).await?;
    changes.witnessed(store.schedule.settle(claim).await).await?;
    changes.applied(Counts { applied, ..Counts::default() }).await;
    Ok(())
}

fn audited(due: &Due) -> Option<AuditedChange> {
    let effect = match due.step? {
        Step::Begin => Effect::Admit,
        Step::End => Effect::Remove,
    };
    Some(about(Some(due.station), Some(&due.token), Some(effect)))
}
