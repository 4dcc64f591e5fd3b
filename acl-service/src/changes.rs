//! The one way to change a list: the audit trail first, then the list, so that no change is without its entry.

use common::ids::{PresentedToken, RequestId, StationId};
use store::{
    AuditEntry, AuditedChange, Change, Changed, Counts, Effect, GroupName, Stage, Store, StoreError,
};

use crate::actor::Actor;
use crate::times;

/// Changes in one step and in one audit entry.
pub(crate) const BATCH: usize = 500;

/// One call's changes, and under what they stand in the audit trail.
pub(crate) struct Changes {
    store: Store,
    actor: Actor,
    action: &'static str,
    group: Option<GroupName>,
    change_id: String,
}

impl Changes {
    pub(crate) fn new(store: &Store, actor: Actor, action: &'static str) -> Self {
        let change_id = RequestId::new().to_string();
        Self { store: store.clone(), actor, action, group: None, change_id }
    }

    /// Those of, or by way of, a group.
    pub(crate) fn of_group(self, group: &GroupName) -> Self {
        Self { group: Some(group.clone()), ..self }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// What the audit trail calls this call.
    pub(crate) fn id(&self) -> &str {
        &self.change_id
    }

    /// Changes one list, all or nothing.
    pub(crate) async fn at(&self, station: StationId, changes: &[Change]) -> Result<Changed, StoreError> {
        let access = &self.store.access;
        if let [change] = changes {
            self.request(vec![audited(station, change)]).await?;
            return self.witnessed(access.change(station, changes).await).await;
        }
        for part in changes.chunks(BATCH) {
            self.request(part.iter().map(|change| audited(station, change)).collect()).await?;
        }
        let changed = self.witnessed(access.change(station, changes).await).await?;
        self.applied(Counts {
            applied: changed.changed,
            unchanged: (changes.len() as u64).saturating_sub(changed.changed),
            refused: 0,
        })
        .await;
        Ok(changed)
    }

    /// Changes many lists; gives how many of the changes made a difference.
    pub(crate) async fn each(&self, changes: &[(StationId, Change)]) -> Result<u64, StoreError> {
        let mut changed = 0;
        for part in changes.chunks(BATCH) {
            self.request(part.iter().map(|(station, change)| audited(*station, change)).collect()).await?;
            changed += self.witnessed(self.store.access.change_each(part).await).await?;
        }
        Ok(changed)
    }

    /// Writes down what is about to be done.
    pub(crate) async fn request(&self, changes: Vec<AuditedChange>) -> Result<(), StoreError> {
        self.store.audit.append(&self.entry(Stage::Requested, changes, None)).await
    }

    /// Writes down what all of it came to. The changes are made by now: where this cannot be written, they stay.
    pub(crate) async fn applied(&self, counts: Counts) {
        self.conclude(Stage::Applied, Some(counts)).await;
    }

    /// Writes down that what was requested may be done in part or not at all.
    pub(crate) async fn failed(&self, counts: Option<Counts>) {
        self.conclude(Stage::Failed, counts).await;
    }

    /// Passes a step's result on, a failure by way of the audit trail.
    pub(crate) async fn witnessed<T>(&self, done: Result<T, StoreError>) -> Result<T, StoreError> {
        if done.is_err() {
            self.failed(None).await;
        }
        done
    }

    async fn conclude(&self, stage: Stage, counts: Option<Counts>) {
        if let Err(error) = self.store.audit.append(&self.entry(stage, Vec::new(), counts)).await {
            tracing::warn!(%error, change_id = self.change_id, "the end of a change is not in the audit trail");
        }
    }

    fn entry(&self, stage: Stage, changes: Vec<AuditedChange>, counts: Option<Counts>) -> AuditEntry {
        AuditEntry {
            change_id: self.change_id.clone(),
            at_ms: times::now(),
            actor: self.actor.name.clone(),
            address: self.actor.address.clone(),
            action: self.action.to_owned(),
            stage,
            group: self.group.as_ref().map(ToString::to_string),
            changes,
            counts,
        }
    }
}

/// A change as the trail keeps it.
pub(crate) fn audited(station: StationId, change: &Change) -> AuditedChange {
    let period = change.period();
    AuditedChange {
        station_id: Some(station),
        driver_token: Some(PresentedToken::new(change.token().expose())),
        effect: Some(if period.is_some() { Effect::Admit } else { Effect::Remove }),
        from_ms: period.and_then(store::Period::from),
        until_ms: period.and_then(store::Period::until),
    }
}
