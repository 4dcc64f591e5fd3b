//! The nodes of the gateway: each a process, with a lease. What a node held whose lease has run out is offline. The truth is
//! in the database, not in Redis: a command needs the database anyway, and nothing has to be written again after Redis is lost.

use std::time::Duration;

use uuid::Uuid;

use super::connections;
use crate::db::{At, DbError, Tx, on, statements};

statements! {
    RENEW = "UPDATE gateway_nodes SET until = $2 WHERE id = $1";
    BEGIN = "INSERT INTO gateway_nodes (id, until) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET until = excluded.until";
    END = "DELETE FROM gateway_nodes WHERE id = $1";
    DEAD = "DELETE FROM gateway_nodes WHERE until < $1";
    /// Those of nodes without a lease, however they lost it.
    LOST = "SELECT station_id, epoch FROM chargers WHERE node_id IS NOT NULL \
            AND node_id NOT IN (SELECT id FROM gateway_nodes) ORDER BY station_id LIMIT $1";
}

/// How long a lease lasts. Chargers are offline at most 5 s after it has run out.
pub const LEASE: Duration = Duration::from_secs(10);
/// How often it is renewed. Two attempts may fail.
pub const RENEW_EVERY: Duration = Duration::from_secs(3);

/// Renews the lease of a node. Returns whether it had none: it is new, or others have taken it for gone, and have noted its
/// chargers as offline.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn renew(tx: &mut Tx, node: Uuid) -> Result<bool, DbError> {
    let until = At::now().plus(LEASE);
    let renewed = on!(tx, |c| {
        sqlx::query(RENEW).bind(node).bind(until).execute(c).await.map(|done| done.rows_affected())
    })?;
    if renewed > 0 {
        return Ok(false);
    }
    on!(tx, |c| sqlx::query(BEGIN).bind(node).bind(until).execute(c).await.map(drop))?;
    Ok(true)
}

/// Ends the lease of a node that has stopped.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn end(tx: &mut Tx, node: Uuid) -> Result<(), DbError> {
    on!(tx, |c| sqlx::query(END).bind(node).execute(c).await.map(drop))?;
    Ok(())
}

/// Notes as offline what nodes held that are gone, at most `limit` chargers. Returns how many there were.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn sweep(tx: &mut Tx, limit: i64) -> Result<usize, DbError> {
    let now = At::now();
    on!(tx, |c| sqlx::query(DEAD).bind(now).execute(c).await.map(drop))?;
    let lost: Vec<(Uuid, i64)> = on!(tx, |c| sqlx::query_as(LOST).bind(limit).fetch_all(c).await)?;
    for (station, epoch) in &lost {
        connections::lost(tx, *station, *epoch).await?;
    }
    Ok(lost.len())
}
