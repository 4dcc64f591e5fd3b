//! API keys: the hash `voltgate:key:<ID>` of each, and the set `voltgate:keys` of their ids, for listing. The two are
//! in different slots, so one transaction never changes both.

use std::collections::HashMap;

use async_trait::async_trait;
use common::api_key::{KeyId, SecretHash};
use common::key_store::{KeyRecord, KeyStore, KeyStoreError};

use super::RedisStore;
use crate::StoreError;

/// ARGV: the moment, and for how many seconds a revoked key is still listed. A key that is gone is not recreated.
const REVOKE: &str = r"
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
if redis.call('HSETNX', KEYS[1], 'revoked_ms', ARGV[1]) == 1 then redis.call('EXPIRE', KEYS[1], ARGV[2]) end
return 1";

const USED: &str = r"
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], 'last_used_ms', ARGV[1]) end
return 1";

impl RedisStore {
    fn key_of(&self, id: impl std::fmt::Display) -> String {
        self.key(format_args!("voltgate:key:{id}"))
    }

    fn key_index(&self) -> String {
        self.key("voltgate:keys")
    }
}

#[async_trait]
impl KeyStore for RedisStore {
    async fn insert(&self, key: &KeyRecord) -> Result<(), KeyStoreError> {
        // The index comes first: a crash between the two leaves an id without a key, never an unlisted key.
        let mut index = redis::cmd("SADD");
        index.arg(self.key_index()).arg(key.id.as_str());
        self.command::<()>(&index).await?;
        let mut hash = redis::cmd("HSET");
        hash.arg(self.key_of(&key.id)).arg("name").arg(&key.name).arg("scopes").arg(key.scopes.to_string());
        hash.arg("secret_sha256").arg(key.hash.to_hex()).arg("created_ms").arg(key.created_ms);
        if let Some(end) = key.expires_ms {
            hash.arg("expires_ms").arg(end);
        }
        Ok(self.command(&hash).await?)
    }

    async fn find(&self, id: &KeyId) -> Result<Option<KeyRecord>, KeyStoreError> {
        let mut command = redis::cmd("HGETALL");
        command.arg(self.key_of(id));
        let hash: HashMap<String, String> = self.command(&command).await?;
        Ok(record(id, &hash))
    }

    async fn list(&self) -> Result<Vec<KeyRecord>, KeyStoreError> {
        let mut command = redis::cmd("SMEMBERS");
        command.arg(self.key_index());
        let ids: Vec<String> = self.command(&command).await?;
        let mut keys = Vec::new();
        for id in ids.iter().filter_map(|id| id.parse::<KeyId>().ok()) {
            match self.find(&id).await? {
                Some(key) => keys.push(key),
                None => self.forget(&id).await?,
            }
        }
        keys.sort_by_key(|key| key.created_ms);
        Ok(keys)
    }

    async fn revoke(&self, id: &KeyId, at_ms: u64) -> Result<bool, KeyStoreError> {
        let mut script = redis::cmd("EVAL");
        script.arg(REVOKE).arg(1).arg(self.key_of(id)).arg(at_ms).arg(self.options.retention.as_secs());
        Ok(self.command(&script).await?)
    }

    async fn used(&self, id: &KeyId, at_ms: u64) -> Result<(), KeyStoreError> {
        let mut script = redis::cmd("EVAL");
        script.arg(USED).arg(1).arg(self.key_of(id)).arg(at_ms);
        Ok(self.command::<i64>(&script).await.map(drop)?)
    }
}

impl RedisStore {
    /// Removes a key whose hash has expired from the index.
    async fn forget(&self, id: &KeyId) -> Result<(), StoreError> {
        let mut command = redis::cmd("SREM");
        command.arg(self.key_index()).arg(id.as_str());
        self.command(&command).await
    }
}

/// Returns `None` if the hash is not a valid key.
fn record(id: &KeyId, hash: &HashMap<String, String>) -> Option<KeyRecord> {
    let text = |name: &str| hash.get(name).map(String::as_str);
    let number = |name: &str| text(name).and_then(|text| text.parse().ok());
    Some(KeyRecord {
        id: id.clone(),
        name: text("name")?.to_owned(),
        scopes: text("scopes")?.parse().ok()?,
        hash: SecretHash::from_hex(text("secret_sha256")?)?,
        created_ms: number("created_ms")?,
        // An unreadable expiry must not make a key valid for ever.
        expires_ms: text("expires_ms").map(|text| text.parse().unwrap_or(0)),
        last_used_ms: number("last_used_ms"),
        revoked_ms: text("revoked_ms").map(|text| text.parse().unwrap_or(0)),
    })
}
