//! The audit trail as rows, numbered in the order of writing.

use async_trait::async_trait;
use embedded_db::rusqlite::{Connection, Transaction, params};

use super::{EmbeddedStore, now_ms, unavailable};
use crate::{AuditEntry, AuditFilter, AuditTrail, Listing, StoreError};

/// Maximum rows that one page may examine.
const LOOKED_AT: u32 = 4000;

#[async_trait]
impl AuditTrail for EmbeddedStore {
    async fn append(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        let text = serde_json::to_string(entry).map_err(StoreError::unavailable)?;
        let expires_ms = self.expiry_ms(self.options.retention);
        let append = move |tx: &Transaction<'_>| {
            let sql = "INSERT INTO audit (entry, expires_ms) VALUES (?1, ?2)";
            tx.prepare_cached(sql)?.execute(params![text, expires_ms]).map(drop)
        };
        self.db.write(append).await.map_err(unavailable)
    }

    /// The cursor is the number of the last row examined.
    async fn page(
        &self,
        filter: &AuditFilter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Listing<AuditEntry>, StoreError> {
        let before = cursor.map_or(Ok(i64::MAX), str::parse).map_err(|_| StoreError::BadCursor)?;
        let (filter, limit) = (filter.clone(), limit as usize);
        let page = move |connection: &Connection| {
            let sql =
                "SELECT id, entry FROM audit WHERE id < ?1 AND expires_ms >= ?2 ORDER BY id DESC LIMIT ?3";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(params![before, now_ms(), LOOKED_AT])?;
            let (mut items, mut seen, mut last) = (Vec::new(), 0, None);
            while let Some(row) = rows.next()? {
                let (id, text): (i64, String) = (row.get(0)?, row.get(1)?);
                (seen, last) = (seen + 1, Some(id.to_string()));
                let entry = serde_json::from_str::<AuditEntry>(&text).ok();
                items.extend(entry.filter(|entry| filter.fits(entry)));
                if items.len() == limit {
                    break;
                }
            }
            let next = last.filter(|_| seen == LOOKED_AT || items.len() == limit);
            Ok(Listing { items, next })
        };
        self.db.read(page).await.map_err(unavailable)
    }
}
