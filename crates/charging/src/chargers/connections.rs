//! The connections of chargers: who may connect, which connection is the newest, and when it ended.

use serde_json::json;
use uuid::Uuid;

use super::credentials::{self, Credentials, Match};
use super::{Charger, ChargerTerms, happened};
use crate::db::{At, DbError, Tx, on, statements};
use crate::stations::charging_stations;

statements! {
    BEGIN = "UPDATE chargers SET epoch = epoch + 1, node_id = $2, connected_at = $3, subprotocol = $4 WHERE station_id = $1 \
             RETURNING epoch";
    /// Its newest connection was taken for lost, and is not.
    RECLAIM = "UPDATE chargers SET node_id = $3 WHERE station_id = $1 AND epoch = $2 AND node_id IS NULL \
               AND disconnect_reason = 'node_lost'";
    END = "UPDATE chargers SET node_id = NULL, disconnected_at = $3, disconnect_reason = $4 \
           WHERE station_id = $1 AND epoch = $2 AND node_id IS NOT NULL";
    /// The node may have renewed its lease since it was taken for gone, and reclaimed its chargers.
    LOSE = "UPDATE chargers SET node_id = NULL, disconnected_at = $3, disconnect_reason = $4 \
            WHERE station_id = $1 AND epoch = $2 AND node_id IS NOT NULL AND node_id NOT IN (SELECT id FROM gateway_nodes)";
}

/// A charger that wants to connect.
#[derive(Clone)]
pub struct Known {
    /// Its station.
    pub station_id: Uuid,
    /// Where it is.
    pub location_id: Option<Uuid>,
    /// What an operator has set.
    pub terms: ChargerTerms,
    /// Its passwords.
    pub credentials: Credentials,
}

/// The charger with this name.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn known(tx: &mut Tx, charger: &str) -> Result<Option<Known>, DbError> {
    let Some(station) = charging_stations::row_by_charger(tx, charger).await? else { return Ok(None) };
    let row = super::find(tx, station.id).await?;
    Ok(Some(Known {
        station_id: station.id,
        location_id: station.location_id,
        terms: row.as_ref().map(Charger::terms).unwrap_or_default(),
        credentials: credentials::find(tx, station.id).await?,
    }))
}

/// Records that a charger has connected to this node. Returns the epoch of the connection, which is the newest from now on;
/// `None` if the station is gone.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn begin(
    tx: &mut Tx,
    station: Uuid,
    node: Uuid,
    subprotocol: &str,
    came_with: Option<Match>,
) -> Result<Option<i64>, DbError> {
    let Some(location) = charging_stations::take(tx, station).await? else { return Ok(None) };
    super::add(tx, station).await?;
    let now = At::now();
    let (epoch,): (i64,) = on!(tx, |c| {
        let query = sqlx::query_as(BEGIN).bind(station).bind(node).bind(now).bind(subprotocol);
        query.fetch_one(c).await
    })?;
    if came_with == Some(Match::Next) {
        credentials::used_next(tx, station).await?;
    }
    charging_stations::set_online(tx, station, true, now).await?;
    let more = json!({"epoch": epoch, "node": node, "subprotocol": subprotocol});
    happened(tx, "charger.connected", station, location, more).await?;
    Ok(Some(epoch))
}

/// Records that a connection goes on that was taken for lost, as its node could not renew its lease in time. A newer one is
/// left alone.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn reclaim(tx: &mut Tx, station: Uuid, epoch: i64, node: Uuid) -> Result<(), DbError> {
    let Some(location) = charging_stations::take(tx, station).await? else { return Ok(()) };
    let reclaimed = on!(tx, |c| {
        let query = sqlx::query(RECLAIM).bind(station).bind(epoch).bind(node);
        query.execute(c).await.map(|done| done.rows_affected())
    })?;
    if reclaimed == 0 {
        return Ok(());
    }
    charging_stations::set_online(tx, station, true, At::now()).await?;
    let more = json!({"epoch": epoch, "node": node});
    happened(tx, "charger.connected", station, location, more).await
}

/// Records that a connection has ended. The end of an old one takes nothing from a newer one.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn ended(tx: &mut Tx, station: Uuid, epoch: i64, reason: &str) -> Result<(), DbError> {
    end(tx, END, station, epoch, reason).await
}

/// The same for a connection whose node is gone, unless it is there again.
pub(super) async fn lost(tx: &mut Tx, station: Uuid, epoch: i64) -> Result<(), DbError> {
    end(tx, LOSE, station, epoch, "node_lost").await
}

async fn end(
    tx: &mut Tx,
    statement: &'static str,
    station: Uuid,
    epoch: i64,
    reason: &str,
) -> Result<(), DbError> {
    let Some(location) = charging_stations::take(tx, station).await? else { return Ok(()) };
    let now = At::now();
    let ended = on!(tx, |c| {
        let query = sqlx::query(statement).bind(station).bind(epoch).bind(now).bind(reason);
        query.execute(c).await.map(|done| done.rows_affected())
    })?;
    if ended == 0 {
        return Ok(());
    }
    charging_stations::set_online(tx, station, false, now).await?;
    let more = json!({"reason": reason, "epoch": epoch});
    happened(tx, "charger.disconnected", station, location, more).await
}
