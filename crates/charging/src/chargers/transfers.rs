//! How the files of a charger fare: its firmware on the way down, its diagnostics and logs on the way up. The last state of
//! each is kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::types::Json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::happened;
use crate::db::{At, DbError, Tx, on, statements, words};
use crate::stations::charging_stations;

statements! {
    FIND = "SELECT transfers FROM chargers WHERE station_id = $1";
    SET = "UPDATE chargers SET transfers = $2 WHERE station_id = $1";
}

words! {
    /// What is transferred
    #[derive(PartialOrd, Ord)]
    pub enum TransferKind {
        /// Its firmware.
        Firmware = "firmware",
        /// Its diagnostics.
        Diagnostics = "diagnostics",
        /// One of its logs.
        Log = "log",
    }
}

/// How far a transfer is
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Transfer {
    /// The state, in the words of OCPP
    pub status: String,
    /// The request that it belongs to, if the charger says so
    #[schema(required)]
    pub request_id: Option<i64>,
    /// When the charger said so
    pub at: At,
}

/// The last state of each kind.
pub type Transfers = BTreeMap<TransferKind, Transfer>;

/// Records how far a transfer is.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn record(
    tx: &mut Tx,
    station: Uuid,
    kind: TransferKind,
    transfer: &Transfer,
) -> Result<(), DbError> {
    let Some(location) = charging_stations::take(tx, station).await? else { return Ok(()) };
    super::add(tx, station).await?;
    let (found,): (Option<Json<Transfers>>,) =
        on!(tx, |c| sqlx::query_as(FIND).bind(station).fetch_one(c).await)?;
    let mut all = found.map(|found| found.0).unwrap_or_default();
    all.insert(kind, transfer.clone());
    on!(tx, |c| sqlx::query(SET).bind(station).bind(Json(&all)).execute(c).await.map(drop))?;
    let more = json!({"transfer": kind, "status": transfer.status, "request_id": transfer.request_id});
    happened(tx, "charger.transfer", station, location, more).await
}
