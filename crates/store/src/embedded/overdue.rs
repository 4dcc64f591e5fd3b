//! Overdue deliveries as rows.

use async_trait::async_trait;
use common::ids::RequestId;
use embedded_db::rusqlite::{Transaction, params};

use super::{EmbeddedStore, unavailable};
use crate::overdue::lease_end;
use crate::{Millis, OverdueDeliveries, StoreError};

const EXPECT: &str = "INSERT INTO delivery VALUES (?1, ?2)
                      ON CONFLICT (request_id) DO UPDATE SET over_by_ms = excluded.over_by_ms";
const CLAIM: &str = "UPDATE delivery SET over_by_ms = ?2 WHERE request_id IN
                       (SELECT request_id FROM delivery WHERE over_by_ms <= ?1 ORDER BY over_by_ms LIMIT ?3)
                     RETURNING request_id";

#[async_trait]
impl OverdueDeliveries for EmbeddedStore {
    async fn expect(&self, request: RequestId, over_by: Millis) -> Result<(), StoreError> {
        let expect = move |tx: &Transaction<'_>| {
            tx.prepare_cached(EXPECT)?.execute(params![request.to_string(), over_by.cast_signed()]).map(drop)
        };
        self.db.write(expect).await.map_err(unavailable)
    }

    async fn claim_overdue(&self, now: Millis, limit: u32) -> Result<Vec<RequestId>, StoreError> {
        let claim = move |tx: &Transaction<'_>| {
            let mut claim = tx.prepare_cached(CLAIM)?;
            let of = params![now.cast_signed(), lease_end(now).cast_signed(), limit];
            claim.query_map(of, |row| row.get(0))?.collect::<Result<Vec<String>, _>>()
        };
        let claimed = self.db.write(claim).await.map_err(unavailable)?;
        Ok(claimed.iter().filter_map(|id| id.parse().ok()).collect())
    }

    async fn over(&self, requests: &[RequestId]) -> Result<(), StoreError> {
        let requests: Vec<String> = requests.iter().map(RequestId::to_string).collect();
        let over = move |tx: &Transaction<'_>| {
            let mut over = tx.prepare_cached("DELETE FROM delivery WHERE request_id = ?1")?;
            requests.iter().try_for_each(|request| over.execute([request]).map(drop))
        };
        self.db.write(over).await.map_err(unavailable)
    }
}
