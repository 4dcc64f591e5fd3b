//! The audit trail: who changed which access list, when and how. Entries are appended and expire; none is altered.

use async_trait::async_trait;
use common::ids::{PresentedToken, StationId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Listing, Millis, StoreError};

/// The trail. An entry is durable when `append` returns, so that it can be written before the change.
#[async_trait]
pub trait AuditTrail: Send + Sync {
    /// Writes an entry behind all others.
    async fn append(&self, entry: &AuditEntry) -> Result<(), StoreError>;

    /// A page of entries that fit, newest first. The work for a page is bounded, so that one may hold few or none and
    /// still have a next one.
    async fn page(
        &self,
        filter: &AuditFilter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Listing<AuditEntry>, StoreError>;
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// The same for all entries of one call.
    pub change_id: String,
    /// When it was written.
    pub at_ms: Millis,
    /// The name of the key that was used, or of the part of Voltgate that did it.
    pub actor: Option<String>,
    /// Where the call came from.
    pub address: Option<String>,
    /// What was asked for, such as `allow` or `import`.
    pub action: String,
    /// How far it has come.
    pub stage: Stage,
    /// The group that was changed, or by way of which lists were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The entries concerned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<AuditedChange>,
    /// What a call with many changes came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
}

/// How far a change has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Written before the change.
    Requested,
    /// Written after the last change of a call that makes many.
    Applied,
    /// Written when the store did not take a change; what was requested may be done, in part or not at all.
    Failed,
}

/// One entry of a list that was to be changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditedChange {
    /// The station.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub station_id: Option<StationId>,
    /// The driver.
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    pub driver_token: Option<PresentedToken>,
    /// What becomes of the driver's entry.
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,
    /// When the entry begins.
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    pub from_ms: Option<Millis>,
    /// When it ends.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<Millis>,
}

/// What becomes of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It is made, or replaced.
    Admit,
    /// It is removed.
    Remove,
}

/// What many changes came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Counts {
    /// Entries that are not what they were.
    pub applied: u64,
    /// Entries that were so already.
    pub unchanged: u64,
    /// What was not understood.
    pub refused: u64,
}

/// Which entries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditFilter {
    /// Those about this station.
    pub station_id: Option<StationId>,
    /// Those about this driver; with a station, about this driver at that station.
    pub driver_token: Option<PresentedToken>,
    /// Those from this moment on.
    pub from_ms: Option<Millis>,
    /// Those before this moment.
    pub to_ms: Option<Millis>,
}

impl AuditFilter {
    /// Whether a change is one of those asked for.
    pub fn fits_change(&self, change: &AuditedChange) -> bool {
        let station = self.station_id.is_none() || self.station_id == change.station_id;
        station && (self.driver_token.is_none() || self.driver_token == change.driver_token)
    }

    pub(crate) fn fits(&self, entry: &AuditEntry) -> bool {
        let in_time = self.from_ms.is_none_or(|from| entry.at_ms >= from)
            && self.to_ms.is_none_or(|to| entry.at_ms < to);
        let about_all = self.station_id.is_none() && self.driver_token.is_none();
        in_time && (about_all || entry.changes.iter().any(|change| self.fits_change(change)))
    }
}
