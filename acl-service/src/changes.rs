//! The only code that changes a list, the public stations or the members. It writes the audit entry first, so that every
//! change has its entry.

use common::ids::{DriverToken, PresentedToken, RequestId, StationId};
use store::{
    AccessStore, AuditEntry, AuditedChange, Change, Changed, Counts, Effect, GroupName, Member, SetChanged,
    Stage, StoreError,
};

use crate::actor::Actor;
use crate::validity;

/// Maximum changes in one step and in one audit entry.
pub(crate) const BATCH: usize = 500;

/// The changes of one call, and their identity in the audit trail.
pub(crate) struct Changes {
    store: AccessStore,
    actor: Actor,
    action: &'static str,
    group: Option<GroupName>,
    change_id: String,
}

impl Changes {
    pub(crate) fn new(store: &AccessStore, actor: Actor, action: &'static str) -> Self {
        let change_id = RequestId::new().to_string();
        Self { store: store.clone(), actor, action, group: None, change_id }
    }

    /// Sets the change id to that of a larger import.
    pub(crate) fn part_of(self, import: RequestId) -> Self {
        Self { change_id: import.to_string(), ..self }
    }

    /// Marks the changes as made to, or through, a group.
    pub(crate) fn of_group(self, group: &GroupName) -> Self {
        Self { group: Some(group.clone()), ..self }
    }

    pub(crate) fn store(&self) -> &AccessStore {
        &self.store
    }

    /// The id of this call in the audit trail.
    pub(crate) fn id(&self) -> &str {
        &self.change_id
    }

    /// Applies the changes to one list, all or none.
    pub(crate) async fn at(&self, station: StationId, changes: &[Change]) -> Result<Changed, StoreError> {
        let access = &self.store.lists;
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

    /// Changes many lists; returns how many of the changes had an effect.
    pub(crate) async fn each(&self, changes: &[(StationId, Change)]) -> Result<u64, StoreError> {
        let mut changed = 0;
        for part in changes.chunks(BATCH) {
            self.request(part.iter().map(|(station, change)| audited(*station, change)).collect()).await?;
            changed += self.witnessed(self.store.lists.change_each(part).await).await?;
        }
        Ok(changed)
    }

    /// Makes stations public, and others no longer public, all or none.
    pub(crate) async fn public_stations(
        &self,
        add: &[StationId],
        remove: &[StationId],
    ) -> Result<SetChanged, StoreError> {
        let of = |effect| move |station: &StationId| about(Some(*station), None, Some(effect));
        let changes = add.iter().map(of(Effect::Admit)).chain(remove.iter().map(of(Effect::Remove)));
        self.of_set(changes.collect(), self.store.public.change_stations(add, remove)).await
    }

    /// Adds, replaces and removes members, all or none.
    pub(crate) async fn members(
        &self,
        add: &[Member],
        remove: &[DriverToken],
    ) -> Result<SetChanged, StoreError> {
        let added = add.iter().map(|member| AuditedChange {
            until_ms: member.until,
            ..about(None, Some(&member.token), Some(Effect::Admit))
        });
        let removed = remove.iter().map(|token| about(None, Some(token), Some(Effect::Remove)));
        self.of_set(added.chain(removed).collect(), self.store.public.change_members(add, remove)).await
    }

    async fn of_set(
        &self,
        changes: Vec<AuditedChange>,
        change: impl Future<Output = Result<SetChanged, StoreError>>,
    ) -> Result<SetChanged, StoreError> {
        let count = changes.len() as u64;
        for part in changes.chunks(BATCH) {
            self.request(part.to_vec()).await?;
        }
        let changed = self.witnessed(change.await).await?;
        if count > 1 {
            let applied = changed.added + changed.removed;
            self.applied(Counts { applied, unchanged: count.saturating_sub(applied), refused: 0 }).await;
        }
        Ok(changed)
    }

    /// Records the requested changes.
    pub(crate) async fn request(&self, changes: Vec<AuditedChange>) -> Result<(), StoreError> {
        self.store.audit.append(&self.entry(Stage::Requested, changes, None)).await
    }

    /// Records the results. The changes are made by now: if this cannot be written, they stay.
    pub(crate) async fn applied(&self, counts: Counts) {
        self.conclude(Stage::Applied, Some(counts)).await;
    }

    /// Records that the request may be applied in part or not at all.
    pub(crate) async fn failed(&self, counts: Option<Counts>) {
        self.conclude(Stage::Failed, counts).await;
    }

    /// Returns a step's result. A failure is recorded in the audit trail first.
    pub(crate) async fn witnessed<T>(&self, done: Result<T, StoreError>) -> Result<T, StoreError> {
        if done.is_err() {
            self.failed(None).await;
        }
        done
    }

    async fn conclude(&self, stage: Stage, counts: Option<Counts>) {
        if let Err(error) = self.store.audit.append(&self.entry(stage, Vec::new(), counts)).await {
            tracing::warn!(%error, change_id = self.change_id, "the outcome of a change could not be written to the audit trail");
        }
    }

    fn entry(&self, stage: Stage, changes: Vec<AuditedChange>, counts: Option<Counts>) -> AuditEntry {
        AuditEntry {
            change_id: self.change_id.clone(),
            at_ms: validity::now(),
            actor: self.actor.name.clone(),
            on_behalf_of: self.actor.on_behalf_of.as_ref().map(ToString::to_string),
            address: self.actor.address.clone(),
            action: self.action.to_owned(),
            stage,
            group: self.group.as_ref().map(ToString::to_string),
            changes,
            counts,
        }
    }
}

/// A change in the audit trail's form.
pub(crate) fn audited(station: StationId, change: &Change) -> AuditedChange {
    let period = change.period();
    let effect = if period.is_some() { Effect::Admit } else { Effect::Remove };
    AuditedChange {
        from_ms: period.and_then(store::Period::from),
        until_ms: period.and_then(store::Period::until),
        ..about(Some(station), Some(change.token()), Some(effect))
    }
}

/// A change that is about a station, a driver or both.
pub(crate) fn about(
    station: Option<StationId>,
    token: Option<&DriverToken>,
    effect: Option<Effect>,
) -> AuditedChange {
    AuditedChange {
        station_id: station,
        driver_token: token.map(|token| PresentedToken::new(token.expose())),
        effect,
        from_ms: None,
        until_ms: None,
    }
}
