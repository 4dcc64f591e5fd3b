//! What chargers say about themselves when they boot, and how they deviate from the standard.

use std::collections::BTreeMap;

use serde_json::json;
use sqlx::types::Json;
use uuid::Uuid;

use super::happened;
use crate::db::{At, DbError, Tx, on, statements};
use crate::stations::charging_stations::{self, Described};

statements! {
    SET = "UPDATE chargers SET charge_point_serial = $2, charge_box_serial = $3, iccid = $4, imsi = $5, meter_type = $6, \
           meter_serial = $7, booted_at = $8 WHERE station_id = $1";
    LENIENCIES = "SELECT leniencies FROM chargers WHERE station_id = $1";
    SET_OBSERVED = "UPDATE chargers SET leniencies = $2, clock_skew_ms = COALESCE($3, clock_skew_ms) WHERE station_id = $1";
}

/// A boot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the members are those of OCPP 1.6, section 6.7")]
pub struct Boot {
    pub vendor: Option<String>,
    pub model: Option<String>,
    pub firmware: Option<String>,
    pub charge_point_serial: Option<String>,
    pub charge_box_serial: Option<String>,
    pub iccid: Option<String>,
    pub imsi: Option<String>,
    pub meter_type: Option<String>,
    pub meter_serial: Option<String>,
}

/// What was noticed about a charger since the last time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// How often what was taken leniently.
    pub leniencies: BTreeMap<String, i64>,
    /// How far its clock is ahead, in milliseconds.
    pub clock_skew_ms: Option<i64>,
    /// When it was last heard.
    pub last_seen: Option<At>,
}

/// Records a boot. The firmware that was there before and is no more is an event.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn record(tx: &mut Tx, station: Uuid, boot: &Boot, at: At) -> Result<(), DbError> {
    let Some(location) = charging_stations::take(tx, station).await? else { return Ok(()) };
    super::add(tx, station).await?;
    on!(tx, |c| {
        let query =
            sqlx::query(SET).bind(station).bind(&boot.charge_point_serial).bind(&boot.charge_box_serial);
        let query = query.bind(&boot.iccid).bind(&boot.imsi).bind(&boot.meter_type).bind(&boot.meter_serial);
        query.bind(at).execute(c).await.map(drop)
    })?;
    let described =
        Described { vendor: boot.vendor.clone(), model: boot.model.clone(), firmware: boot.firmware.clone() };
    let before = charging_stations::describe(tx, station, &described, at).await?;
    let mut more = json!({"firmware": boot.firmware});
    if let Some(before) = before.filter(|before| boot.firmware.as_ref() != Some(before)) {
        more["firmware_before"] = json!(before);
    }
    happened(tx, "charger.booted", station, location, more).await
}

/// Adds what was noticed.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn observe(tx: &mut Tx, station: Uuid, observed: &Observed) -> Result<(), DbError> {
    if let Some(at) = observed.last_seen {
        charging_stations::set_last_seen(tx, station, at).await?;
    }
    // Mostly there is nothing else: ten thousand chargers that are idle must cost little.
    if observed.leniencies.is_empty() && observed.clock_skew_ms.is_none() {
        return Ok(());
    }
    if charging_stations::take(tx, station).await?.is_none() {
        return Ok(());
    }
    let found: Option<(Json<BTreeMap<String, i64>>,)> =
        on!(tx, |c| sqlx::query_as(LENIENCIES).bind(station).fetch_optional(c).await)?;
    let Some((Json(mut all),)) = found else { return Ok(()) };
    for (kind, count) in &observed.leniencies {
        let known = all.entry(kind.clone()).or_default();
        *known = known.saturating_add(*count);
    }
    on!(tx, |c| {
        let query = sqlx::query(SET_OBSERVED).bind(station).bind(Json(all)).bind(observed.clock_skew_ms);
        query.execute(c).await.map(drop)
    })?;
    Ok(())
}
