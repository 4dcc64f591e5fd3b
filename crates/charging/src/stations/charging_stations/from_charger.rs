//! What a charger says about its station: its kind, whether it is there, and the statuses of its connectors.

use uuid::Uuid;

use super::statuses::{self, Set};
use super::{ConnectorDraft, Evse, EvseDraft, evses, happened};
use crate::db::{At, DbError, Tx, on, statements};
use crate::stations::StationError;
use crate::stations::connectors::{Format, PowerType, Standard};
use crate::stations::status_log::{self, Sent};

statements! {
    TAKE = "UPDATE stations SET version = version WHERE id = $1 RETURNING location_id";
    FIRMWARE = "SELECT firmware FROM stations WHERE id = $1";
    DESCRIBE = "UPDATE stations SET vendor = $2, model = $3, firmware = $4, last_seen = $5 WHERE id = $1";
    SET_ONLINE = "UPDATE stations SET online = $2, last_seen = $3 WHERE id = $1";
    SET_LAST_SEEN = "UPDATE stations SET last_seen = $2 WHERE id = $1 AND (last_seen IS NULL OR last_seen < $2)";
    EVSE_OF = "SELECT evse_id FROM connectors WHERE station_id = $1 AND number = $2";
}

/// The highest number of an EVSE or a connector.
const MAX_NUMBER: i64 = 256;
/// Of a connector that a charger has named: three phases with 32 A.
const ASSUMED_POWER_W: i64 = 22_000;

/// What a charger says that it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Described {
    /// The vendor.
    pub vendor: Option<String>,
    /// The model.
    pub model: Option<String>,
    /// The version of its firmware.
    pub firmware: Option<String>,
}

/// Holds the station's row until the end of the transaction, as each transaction does first that writes an event of it.
/// Returns its location; `None` if there is no such station.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn take(tx: &mut Tx, id: Uuid) -> Result<Option<Option<Uuid>>, DbError> {
    let taken: Option<(Option<Uuid>,)> = on!(tx, |c| sqlx::query_as(TAKE).bind(id).fetch_optional(c).await)?;
    Ok(taken.map(|(location,)| location))
}

/// Sets what a charger says that it is. Returns the firmware that was there before.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn describe(
    tx: &mut Tx,
    id: Uuid,
    described: &Described,
    at: At,
) -> Result<Option<String>, DbError> {
    let before: Option<(Option<String>,)> =
        on!(tx, |c| sqlx::query_as(FIRMWARE).bind(id).fetch_optional(c).await)?;
    on!(tx, |c| {
        let query = sqlx::query(DESCRIBE).bind(id).bind(&described.vendor).bind(&described.model);
        query.bind(&described.firmware).bind(at).execute(c).await.map(drop)
    })?;
    Ok(before.and_then(|(firmware,)| firmware))
}

/// Sets whether the charger is connected.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn set_online(tx: &mut Tx, id: Uuid, online: bool, at: At) -> Result<(), DbError> {
    on!(tx, |c| sqlx::query(SET_ONLINE).bind(id).bind(online).bind(at).execute(c).await.map(drop))?;
    Ok(())
}

/// Sets when the charger was last heard, unless a later moment is known.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn set_last_seen(tx: &mut Tx, id: Uuid, at: At) -> Result<(), DbError> {
    on!(tx, |c| sqlx::query(SET_LAST_SEEN).bind(id).bind(at).execute(c).await.map(drop))?;
    Ok(())
}

/// The EVSE of a connector, by OCPP's number of it.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn evse_of(tx: &mut Tx, station: Uuid, connector: i64) -> Result<Option<Uuid>, DbError> {
    let found: Option<(Uuid,)> =
        on!(tx, |c| sqlx::query_as(EVSE_OF).bind(station).bind(connector).fetch_optional(c).await)?;
    Ok(found.map(|(evse,)| evse))
}

/// Records a status that the charger sent. The newest moment wins; the log gets all of them. A connector that is not known
/// gets an EVSE of its own.
///
/// # Errors
/// Returns an error if the station does not exist, or the database cannot be used.
pub async fn record_status(tx: &mut Tx, id: Uuid, sent: &Sent) -> Result<(), StationError> {
    let location = take(tx, id).await?.ok_or(StationError::NotFound)?;
    // A charger whose clock is ahead must not silence itself until then. The log has its own words.
    let known = Sent { at: sent.at.min(At::now()), ..sent.clone() };
    let mut set = statuses::set(tx, id, &known).await?;
    if matches!(set, Set::NoConnector) && sent.connector_number > 0 {
        add_connector(tx, id, sent.connector_number).await?;
        set = statuses::set(tx, id, &known).await?;
    }
    let evse = match set {
        Set::Again(evse) | Set::Changed(evse, _) => Some(evse),
        Set::NoConnector | Set::Older => None,
    };
    status_log::add(tx, id, evse, sent).await?;
    // Chargers repeat their statuses at each boot, and some every minute.
    let Set::Changed(evse, status) = set else { return Ok(()) };
    let more = serde_json::json!({
        "evse_id": evse, "connector_number": sent.connector_number, "status": sent.status, "evse_status": status,
    });
    happened(tx, "charger.connector_status", id, location, more).await?;
    Ok(())
}

/// Adds a connector that a charger has named, with an EVSE of its own. What it is like is not known; an operator corrects it.
async fn add_connector(tx: &mut Tx, station: Uuid, number: i64) -> Result<(), StationError> {
    let before = evses::of(tx, &[station]).await?.remove(&station).unwrap_or_default();
    if before.len() >= evses::MAX_EVSES || !(1..=MAX_NUMBER).contains(&number) {
        return Ok(());
    }
    let taken = |number: i64| before.iter().any(|evse| evse.row.number == number);
    let evse_number = (number..=MAX_NUMBER).chain(1..number).find(|number| !taken(*number));
    let mut drafts: Vec<EvseDraft> = before.iter().map(Evse::draft).collect();
    drafts.push(EvseDraft {
        id: None,
        number: evse_number,
        tariff_id: None,
        connectors: vec![ConnectorDraft {
            id: None,
            number: Some(number),
            standard: Standard::Type2,
            format: Format::Socket,
            power_type: PowerType::Ac3Phase,
            max_power_w: ASSUMED_POWER_W,
        }],
    });
    evses::set(tx, station, &drafts).await
}
