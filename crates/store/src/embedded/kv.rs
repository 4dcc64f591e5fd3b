//! Small key-value state as rows.

use std::time::Duration;

use async_trait::async_trait;
use embedded_db::rusqlite::{self, OptionalExtension, params};

use super::{EmbeddedStore, now_ms, unavailable};
use crate::kv::{KEPT_FOR, PROBE};
use crate::{KeyValue, StoreError, Writes};

const PUT: &str = "INSERT INTO keyed VALUES (?1, ?2, ?3)
                   ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires_ms = excluded.expires_ms";

#[async_trait]
impl KeyValue for EmbeddedStore {
    async fn put_if_absent(
        &self,
        key: &str,
        value: &str,
        keep: Duration,
    ) -> Result<Option<String>, StoreError> {
        let (key, value, expires_ms) = (key.to_owned(), value.to_owned(), self.expiry_ms(keep));
        let put = move |tx: &rusqlite::Transaction<'_>| {
            let held = value_of(tx, &key)?;
            if held.is_none() {
                tx.prepare_cached(PUT)?.execute(params![key, value, expires_ms])?;
            }
            Ok(held)
        };
        self.db.write(put).await.map_err(unavailable)
    }

    async fn put(&self, key: &str, value: &str, keep: Duration) -> Result<(), StoreError> {
        let (key, value, expires_ms) = (key.to_owned(), value.to_owned(), self.expiry_ms(keep));
        let put = move |tx: &rusqlite::Transaction<'_>| {
            tx.prepare_cached(PUT)?.execute(params![key, value, expires_ms]).map(drop)
        };
        self.db.write(put).await.map_err(unavailable)
    }

    async fn get(&self, keys: &[&str]) -> Result<Vec<Option<String>>, StoreError> {
        let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        let get = move |connection: &rusqlite::Connection| {
            keys.iter().map(|key| value_of(connection, key)).collect::<rusqlite::Result<Vec<_>>>()
        };
        self.db.read(get).await.map_err(unavailable)
    }

    async fn remove(&self, key: &str) -> Result<(), StoreError> {
        let key = key.to_owned();
        let remove = move |tx: &rusqlite::Transaction<'_>| {
            tx.prepare_cached("DELETE FROM keyed WHERE key = ?1")?.execute([key]).map(drop)
        };
        self.db.write(remove).await.map_err(unavailable)
    }

    /// All tables are in one file, so one probe covers every kind of write.
    async fn probe(&self, _writes: Writes) -> Result<(), StoreError> {
        self.put(PROBE, "", KEPT_FOR).await
    }
}

pub(super) fn value_of(connection: &rusqlite::Connection, key: &str) -> rusqlite::Result<Option<String>> {
    connection
        .prepare_cached("SELECT value FROM keyed WHERE key = ?1 AND expires_ms >= ?2")?
        .query_row(params![key, now_ms()], |row| row.get(0))
        .optional()
}
