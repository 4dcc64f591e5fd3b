//! The audit trail: who changed which access list, public station or member, when and how. Entries are only appended,
//! and expire; none is altered.

use async_trait::async_trait;
use common::ids::{PresentedToken, StationId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Listing, Millis, StoreError};

/// The trail. An entry is durable when `append` returns, so it can be written before the change.
#[async_trait]
pub trait AuditTrail: Send + Sync {
    /// Appends an entry.
    async fn append(&self, entry: &AuditEntry) -> Result<(), StoreError>;

    /// A page of the matching entries, newest first. The work for a page is bounded, so a page may hold few or no
    /// entries and still have a next page.
    async fn page(
        &self,
        filter: &AuditFilter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Listing<AuditEntry>, StoreError>;
}

/// One audit entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Shared by all entries of one call.
    pub change_id: String,
    /// When it was written.
    pub at_ms: Millis,
    /// The name of the API key, or of the part of Voltgate that made the change.
    pub actor: Option<String>,
    /// For whom the actor made the change, in the actor's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
    /// The address that the call came from.
    pub address: Option<String>,
    /// The requested action, such as `allow` or `import`.
    pub action: String,
    /// The stage of the change.
    pub stage: Stage,
    /// The group that was changed, or through which the lists were changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The list entries, public stations or members concerned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<AuditedChange>,
    /// The result of a call with many changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
}

/// The stage of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Written before the change.
    Requested,
    /// Written after the last change of a call that makes many changes.
    Applied,
    /// Written when the store did not accept a change. The request may be applied fully, in part or not at all.
    Failed,
}

/// One requested change to a list entry, a public station or a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditedChange {
    /// The station.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub station_id: Option<StationId>,
    /// The driver.
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    pub driver_token: Option<PresentedToken>,
    /// The effect on the entry, the station or the member.
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,
    /// When the entry's validity begins.
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    pub from_ms: Option<Millis>,
    /// When the entry's validity ends.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<Millis>,
}

/// The effect of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It is created or replaced; the station becomes public.
    Admit,
    /// It is removed; the station is no longer public.
    Remove,
}

/// The results of many changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Counts {
    /// Entries that changed.
    pub applied: u64,
    /// Entries that were already as requested.
    pub unchanged: u64,
    /// Changes that could not be parsed.
    pub refused: u64,
}

/// Selects audit entries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditFilter {
    /// Entries about this station.
    pub station_id: Option<StationId>,
    /// Entries about this driver; with a station, about this driver at that station.
    pub driver_token: Option<PresentedToken>,
    /// Entries written at this moment or later.
    pub from_ms: Option<Millis>,
    /// Entries written before this moment.
    pub to_ms: Option<Millis>,
}

impl AuditFilter {
    /// Whether the change matches the filter.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// An entry as earlier versions wrote it.
    const EARLIER: &str = r#"{"change_id":"1","at_ms":5,"actor":"north","address":"127.0.0.1","action":"allow",
        "stage":"requested","changes":[{"s":"123e4567-e89b-12d3-a456-426614174000","d":"valid_driver_token_12345","e":"admit"}]}"#;

    #[test]
    fn an_entry_of_an_earlier_version_is_read() {
        let entry: AuditEntry = serde_json::from_str(EARLIER).unwrap();
        assert_eq!((entry.actor.as_deref(), entry.on_behalf_of), (Some("north"), None));
    }

    #[test]
    fn an_earlier_version_reads_an_entry_with_members_that_it_does_not_know() {
        #[derive(Deserialize)]
        struct Earlier {
            actor: Option<String>,
            changes: Vec<AuditedChange>,
        }
        let mut entry: AuditEntry = serde_json::from_str(EARLIER).unwrap();
        assert!(!serde_json::to_string(&entry).unwrap().contains("on_behalf_of"));
        entry.on_behalf_of = Some("user:1".to_owned());
        let text = serde_json::to_string(&entry).unwrap();
        let read: Earlier = serde_json::from_str(&text).unwrap();
        assert_eq!((read.actor, read.changes), (entry.actor.clone(), entry.changes.clone()));
        assert_eq!(serde_json::from_str::<AuditEntry>(&text).unwrap(), entry);
    }
}
