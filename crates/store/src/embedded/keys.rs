//! API keys as rows.

use async_trait::async_trait;
use common::api_key::{KeyId, SecretHash};
use common::key_store::{KeyRecord, KeyStore, KeyStoreError};
use embedded_db::rusqlite::{self, OptionalExtension, Row, params};

use super::{EmbeddedStore, unavailable};

const COLUMNS: &str = "id, name, scopes, secret_sha256, created_ms, expires_ms, last_used_ms, revoked_ms";

#[async_trait]
impl KeyStore for EmbeddedStore {
    async fn insert(&self, key: &KeyRecord) -> Result<(), KeyStoreError> {
        let key = key.clone();
        let insert = move |tx: &rusqlite::Transaction<'_>| {
            let sql = "INSERT INTO api_key (id, name, scopes, secret_sha256, created_ms, expires_ms)
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            let (id, scopes) = (key.id.as_str(), key.scopes.to_string());
            let (created, expires) = (moment(key.created_ms), key.expires_ms.map(moment));
            tx.execute(sql, params![id, key.name, scopes, key.hash.to_hex(), created, expires]).map(drop)
        };
        Ok(self.db.write(insert).await.map_err(unavailable)?)
    }

    async fn find(&self, id: &KeyId) -> Result<Option<KeyRecord>, KeyStoreError> {
        let id = id.to_string();
        let find = move |connection: &rusqlite::Connection| {
            let sql = format!("SELECT {COLUMNS} FROM api_key WHERE id = ?1");
            connection.prepare_cached(&sql)?.query_row([id], record).optional()
        };
        Ok(self.db.read(find).await.map_err(unavailable)?.flatten())
    }

    async fn list(&self) -> Result<Vec<KeyRecord>, KeyStoreError> {
        let list = |connection: &rusqlite::Connection| {
            let sql = format!("SELECT {COLUMNS} FROM api_key ORDER BY created_ms");
            connection.prepare_cached(&sql)?.query_map([], record)?.collect::<Result<Vec<_>, _>>()
        };
        Ok(self.db.read(list).await.map_err(unavailable)?.into_iter().flatten().collect())
    }

    async fn revoke(&self, id: &KeyId, at_ms: u64) -> Result<bool, KeyStoreError> {
        let (id, at, gone) = (id.to_string(), moment(at_ms), self.expiry_ms(self.options.retention));
        let revoke = move |tx: &rusqlite::Transaction<'_>| {
            let sql =
                "UPDATE api_key SET revoked_ms = coalesce(revoked_ms, ?2), gone_ms = coalesce(gone_ms, ?3)
                       WHERE id = ?1";
            Ok(tx.execute(sql, params![id, at, gone])? > 0)
        };
        Ok(self.db.write(revoke).await.map_err(unavailable)?)
    }

    async fn used(&self, id: &KeyId, at_ms: u64) -> Result<(), KeyStoreError> {
        let (id, at) = (id.to_string(), moment(at_ms));
        let used = move |tx: &rusqlite::Transaction<'_>| {
            tx.execute("UPDATE api_key SET last_used_ms = ?2 WHERE id = ?1", params![id, at]).map(drop)
        };
        Ok(self.db.write(used).await.map_err(unavailable)?)
    }
}

/// Returns `None` if the row is not a valid key.
fn record(row: &Row<'_>) -> rusqlite::Result<Option<KeyRecord>> {
    let (id, scopes, hash): (String, String, String) = (row.get(0)?, row.get(2)?, row.get(3)?);
    let (Ok(id), Ok(scopes), Some(hash)) = (id.parse(), scopes.parse(), SecretHash::from_hex(&hash)) else {
        return Ok(None);
    };
    let optional = |column| row.get::<_, Option<i64>>(column).map(|at| at.map(i64::unsigned_abs));
    Ok(Some(KeyRecord {
        id,
        name: row.get(1)?,
        scopes,
        hash,
        created_ms: row.get::<_, i64>(4)?.unsigned_abs(),
        expires_ms: optional(5)?,
        last_used_ms: optional(6)?,
        revoked_ms: optional(7)?,
    }))
}

fn moment(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}
