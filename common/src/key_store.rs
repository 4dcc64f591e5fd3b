//! Where API keys are kept, without their secrets: the store keeps them, and every listener asks for them.

use async_trait::async_trait;

use crate::api_key::{KeyId, Scopes, SecretHash};
use crate::error_chain::BoxError;

/// The key store cannot be reached, or holds something else. Trying again may help.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct KeyStoreError(pub BoxError);

/// All created keys. Changes are durable when the call returns.
#[async_trait]
pub trait KeyStore: Send + Sync {
    /// Stores a new key.
    async fn insert(&self, key: &KeyRecord) -> Result<(), KeyStoreError>;

    /// The key with this id, even if it has expired or is revoked.
    async fn find(&self, id: &KeyId) -> Result<Option<KeyRecord>, KeyStoreError>;

    /// All keys, oldest first. A revoked key remains listed for as long as records are kept.
    async fn list(&self) -> Result<Vec<KeyRecord>, KeyStoreError>;

    /// Revokes a key at this moment; an earlier revocation stands. Returns whether the key exists.
    async fn revoke(&self, id: &KeyId, at_ms: u64) -> Result<bool, KeyStoreError>;

    /// Records that the key was used at this moment.
    async fn used(&self, id: &KeyId, at_ms: u64) -> Result<(), KeyStoreError>;
}

/// One key. Timestamps are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// The key's id.
    pub id: KeyId,
    /// The key's owner or purpose, in its creator's words.
    pub name: String,
    /// The key's scopes.
    pub scopes: Scopes,
    /// The hash that a presented secret is checked against.
    pub hash: SecretHash,
    /// When it was created.
    pub created_ms: u64,
    /// When it expires.
    pub expires_ms: Option<u64>,
    /// When it was last used, to within a minute.
    pub last_used_ms: Option<u64>,
    /// When it was revoked.
    pub revoked_ms: Option<u64>,
}

impl KeyRecord {
    /// Whether the key is valid at this moment.
    pub fn is_good_at(&self, now_ms: u64) -> bool {
        self.revoked_ms.is_none() && self.expires_ms.is_none_or(|end| now_ms < end)
    }
}
