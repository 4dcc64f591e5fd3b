//! API keys, without their secrets.

use async_trait::async_trait;
use common::api_key::{KeyId, Scopes, SecretHash};

use crate::StoreError;

/// The keys that were created. Changes are durable when they return.
#[async_trait]
pub trait Keys: Send + Sync {
    /// Keeps a new key.
    async fn insert(&self, key: &KeyRecord) -> Result<(), StoreError>;

    /// The key with this id, also when it has expired or is revoked.
    async fn find(&self, id: &KeyId) -> Result<Option<KeyRecord>, StoreError>;

    /// All keys, the oldest first. A revoked one stays among them for as long as records are kept.
    async fn list(&self) -> Result<Vec<KeyRecord>, StoreError>;

    /// Ends a key at this moment; an earlier end holds. Says whether there is such a key.
    async fn revoke(&self, id: &KeyId, at_ms: u64) -> Result<bool, StoreError>;

    /// Notes that a key was used at this moment.
    async fn used(&self, id: &KeyId, at_ms: u64) -> Result<(), StoreError>;
}

/// One key. Moments are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// What names it.
    pub id: KeyId,
    /// Whose it is, or what it is for, in its creator's words.
    pub name: String,
    /// What it is good for.
    pub scopes: Scopes,
    /// What proves that somebody has it.
    pub hash: SecretHash,
    /// When it was made.
    pub created_ms: u64,
    /// When it ends by itself.
    pub expires_ms: Option<u64>,
    /// When it was used for the last time, give or take a minute.
    pub last_used_ms: Option<u64>,
    /// When it was ended.
    pub revoked_ms: Option<u64>,
}

impl KeyRecord {
    /// Whether it is good at this moment.
    pub fn is_good_at(&self, now_ms: u64) -> bool {
        self.revoked_ms.is_none() && self.expires_ms.is_none_or(|end| now_ms < end)
    }
}
