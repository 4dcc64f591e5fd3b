//! Charging stations, their EVSEs and connectors.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

pub use self::evses::{Connector, ConnectorDraft, Evse, EvseDraft};
pub use self::from_charger::{Described, describe, evse_of, record_status, set_last_seen, set_online, take};
use super::connectors::Access;
use super::error::{Refused, StationError};
use super::{ChargerName, Label, id, locations, search};
use crate::chargers::inbox;
use crate::core_sync::{self, Subject};
use crate::db::{At, DbError, Tx, filled, on, row, statements};
use crate::events::{self, Happened};

macro_rules! columns {
    () => {
        "id, location_id, charger, name, access, tariff_id, vendor, model, firmware, online, last_seen, version, created_at, \
         updated_at"
    };
}

pub mod evses;
pub mod from_charger;
pub mod named;
pub mod public;
pub mod statuses;

statements! {
    INSERT = "INSERT INTO stations (id, location_id, charger, name, access, tariff_id, online, version, created_at, updated_at) \
              VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8, $8) ON CONFLICT DO NOTHING";
    FIND = concat!("SELECT ", columns!(), " FROM stations WHERE id = $1");
    BY_CHARGER = concat!("SELECT ", columns!(), " FROM stations WHERE charger = $1");
    UPDATE = "UPDATE stations SET location_id = $3, charger = $4, name = $5, access = $6, tariff_id = $7, \
              version = version + 1, updated_at = $8 WHERE id = $1 AND version = $2";
    DELETE = "DELETE FROM stations WHERE id = $1 AND version = $2";
    LIST = concat!("SELECT ", columns!(), " FROM stations WHERE id > $1 ORDER BY id LIMIT $2");
    AT_LOCATION = concat!("SELECT ", columns!(),
        " FROM stations WHERE location_id = $1 AND id > $2 ORDER BY id LIMIT $3");
    AT_LOCATIONS = concat!("SELECT ", columns!(), " FROM stations \
         WHERE location_id IN ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ORDER BY location_id, id");
    WITHOUT_LOCATION = concat!("SELECT ", columns!(),
        " FROM stations WHERE location_id IS NULL AND id > $1 ORDER BY id LIMIT $2");
    CHARGERS = "SELECT charger FROM stations WHERE location_id = $1 AND charger IS NOT NULL";
}

/// The parameters of `AT_LOCATIONS`.
const AT_ONCE: usize = 10;

/// A charging station, as an operator writes it
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StationDraft {
    /// Its id, which the access lists know as `station_id`; a new one unless given. Accepted only at creation
    #[serde(default, deserialize_with = "id::optional", skip_serializing_if = "Option::is_none")]
    pub id: Option<Uuid>,
    /// Where it is. Without a location nothing can be booked here, and no priced session started
    #[serde(default, deserialize_with = "id::optional")]
    pub location_id: Option<Uuid>,
    /// Its OCPP name, the last segment of its WebSocket URL
    pub charger: Option<ChargerName>,
    /// Its name, for people
    pub name: Option<Label>,
    /// Who may charge here; `public` unless given
    pub access: Option<Access>,
    /// Its tariff; that of the location if absent
    #[serde(default, deserialize_with = "id::optional")]
    pub tariff_id: Option<Uuid>,
    /// Its EVSEs; if absent or empty, they come with the first messages of the charger
    pub evses: Option<Vec<EvseDraft>>,
}

/// A charging station, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Station {
    /// What is in its own row.
    pub row: StationRow,
    /// Its EVSEs, by number.
    pub evses: Vec<Evse>,
}

row! {
    /// The row of a station.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct StationRow {
        /// Its id, also in the access lists.
        pub id: Uuid,
        /// Where it is.
        pub location_id: Option<Uuid>,
        /// Its OCPP name.
        pub charger: Option<String>,
        /// Its name, for people.
        pub name: Option<String>,
        /// Who may charge here.
        pub access: Access,
        /// Its tariff.
        pub tariff_id: Option<Uuid>,
        /// The vendor, as the charger says.
        pub vendor: Option<String>,
        /// The model, as the charger says.
        pub model: Option<String>,
        /// The version of its firmware, as the charger says.
        pub firmware: Option<String>,
        /// Whether the charger is connected.
        pub online: bool,
        /// When the charger was last heard.
        pub last_seen: Option<At>,
        /// Raised by each change; the ETag.
        pub version: i64,
        /// When it was created.
        pub created_at: At,
        /// When it was last changed.
        pub updated_at: At,
    }
}

impl Station {
    /// The station as an operator would write it, with the ids of its EVSEs and connectors.
    pub fn draft(&self) -> StationDraft {
        let row = &self.row;
        StationDraft {
            id: None,
            location_id: row.location_id,
            charger: row.charger.as_ref().and_then(|charger| charger.parse().ok()),
            name: row.name.as_ref().and_then(|name| name.parse().ok()),
            access: Some(row.access),
            tariff_id: row.tariff_id,
            evses: Some(self.evses.iter().map(Evse::draft).collect()),
        }
    }
}

impl StationDraft {
    /// Checks what the types do not.
    ///
    /// # Errors
    /// Returns the part at fault.
    pub fn check(&self) -> Result<(), Refused> {
        evses::check(self.evses.as_deref().unwrap_or_default())
    }

    /// The draft with its defaults, and with the ids of another version of the same station, where it names none: an EVSE or a
    /// connector is the one with the same number.
    #[must_use]
    pub fn with_ids_of(mut self, before: &Self) -> Self {
        if let Some(evses) = &mut self.evses {
            evses::name_as(evses, before.evses.as_deref().unwrap_or_default());
        }
        self.access.get_or_insert(Access::Public);
        self
    }
}

/// Creates a station.
///
/// # Errors
/// Returns an error if the draft is refused, its id or its charger's name is taken, its location does not exist, or the
/// database cannot be used.
pub async fn create(tx: &mut Tx, draft: &StationDraft) -> Result<Station, StationError> {
    draft.check()?;
    let (id, now) = (draft.id.unwrap_or_else(Uuid::now_v7), At::now());
    at_location(tx, draft.location_id).await?;
    let created = on!(tx, |c| {
        let query = sqlx::query(INSERT).bind(id).bind(draft.location_id);
        let query = query.bind(draft.charger.as_ref().map(ChargerName::as_str));
        let query =
            query.bind(draft.name.as_ref().map(Label::as_str)).bind(draft.access.unwrap_or(Access::Public));
        let query = query.bind(draft.tariff_id).bind(false).bind(now);
        query.execute(c).await.map(|done| done.rows_affected())
    })
    .map_err(DbError::from)?;
    if created == 0 {
        let same_id = find_row(tx, id).await?.is_some();
        return Err(if same_id {
            StationError::conflict("id", "there is a station with this id")
        } else {
            charger_taken()
        });
    }
    evses::add(tx, id, draft.evses.as_deref().unwrap_or_default()).await?;
    if let Some(location) = draft.location_id {
        let charger = draft.charger.as_ref().map(ChargerName::as_str);
        search::add(tx, location, charger.into_iter().flat_map(search::words), true).await?;
    }
    adopt(tx, draft).await?;
    core_sync::note(tx, Subject::Station(id), None).await?;
    happened(tx, "station.created", id, draft.location_id, serde_json::json!({})).await?;
    find(tx, id).await?.ok_or(StationError::NotFound)
}

/// The station with this id.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn find(tx: &mut Tx, id: Uuid) -> Result<Option<Station>, DbError> {
    let Some(row) = find_row(tx, id).await? else { return Ok(None) };
    Ok(with_evses(tx, vec![row]).await?.pop())
}

/// The station with this OCPP name.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn by_charger(tx: &mut Tx, charger: &str) -> Result<Option<Station>, DbError> {
    let row = row_by_charger(tx, charger).await?;
    Ok(with_evses(tx, row.into_iter().collect()).await?.pop())
}

/// The same without its EVSEs.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn row_by_charger(tx: &mut Tx, charger: &str) -> Result<Option<StationRow>, DbError> {
    // PostgreSQL refuses a text with a null character.
    if charger.parse::<ChargerName>().is_err() {
        return Ok(None);
    }
    Ok(on!(tx, |c| sqlx::query_as(BY_CHARGER).bind(charger).fetch_optional(c).await)?)
}

/// Replaces what an operator wrote, if nothing has changed since this version. EVSEs and connectors keep their ids if the
/// draft names them, or has one of the same number.
///
/// # Errors
/// Returns an error if the draft is refused or conflicts with others, the station has changed or is gone, or the database
/// cannot be used.
pub async fn update(
    tx: &mut Tx,
    id: Uuid,
    version: i64,
    draft: &StationDraft,
) -> Result<Station, StationError> {
    draft.check()?;
    let before = find_version(tx, id, version).await?;
    // In one order, and both: chargers that leave a location at once would leave each other's words behind.
    let locations = BTreeSet::from([before.location_id, draft.location_id]);
    for location in &locations {
        at_location(tx, *location).await?;
    }
    let updated = on!(tx, |c| {
        let query = sqlx::query(UPDATE).bind(id).bind(version).bind(draft.location_id);
        let query = query.bind(draft.charger.as_ref().map(ChargerName::as_str));
        let query =
            query.bind(draft.name.as_ref().map(Label::as_str)).bind(draft.access.unwrap_or(Access::Public));
        query.bind(draft.tariff_id).bind(At::now()).execute(c).await.map(|done| done.rows_affected())
    });
    let updated = match updated.map_err(DbError::from) {
        Err(error) if error.violates("stations_charger_key") => return Err(charger_taken()),
        updated => updated?,
    };
    if updated == 0 {
        return Err(if find_row(tx, id).await?.is_some() {
            StationError::Stale
        } else {
            StationError::NotFound
        });
    }
    match &draft.evses {
        Some(wanted) => evses::set(tx, id, wanted).await?,
        None => evses::align(tx, id).await?,
    }
    let charger = draft.charger.as_ref().map(ChargerName::as_str);
    if before.location_id != draft.location_id || before.charger.as_deref() != charger {
        for location in locations.into_iter().flatten() {
            set_words(tx, location).await?;
        }
    }
    adopt(tx, draft).await?;
    if draft.access.unwrap_or(Access::Public) != before.access {
        core_sync::note(tx, Subject::Station(id), None).await?;
    }
    happened(tx, "station.updated", id, draft.location_id, serde_json::json!({})).await?;
    find(tx, id).await?.ok_or(StationError::NotFound)
}

/// Deletes a station with its EVSEs and its log, if nothing has changed since this version.
///
/// # Errors
/// Returns an error if the station has changed or is gone, or the database cannot be used.
pub async fn delete(tx: &mut Tx, id: Uuid, version: i64) -> Result<(), StationError> {
    let before = find_version(tx, id, version).await?;
    at_location(tx, before.location_id).await?;
    let deleted = on!(tx, |c| {
        sqlx::query(DELETE).bind(id).bind(version).execute(c).await.map(|done| done.rows_affected())
    })
    .map_err(DbError::from)?;
    if deleted == 0 {
        return Err(StationError::Stale);
    }
    if let Some(location) = before.location_id {
        set_words(tx, location).await?;
    }
    core_sync::note(tx, Subject::Station(id), None).await?;
    happened(tx, "station.deleted", id, before.location_id, serde_json::json!({})).await?;
    Ok(())
}

/// The stations after this id, by id: all of them, or those at a location.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn list(
    tx: &mut Tx,
    location: Option<Uuid>,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Station>, DbError> {
    let rows: Vec<StationRow> = match location {
        Some(location) => on!(tx, |c| {
            sqlx::query_as(AT_LOCATION).bind(location).bind(after).bind(limit).fetch_all(c).await
        })?,
        None => on!(tx, |c| sqlx::query_as(LIST).bind(after).bind(limit).fetch_all(c).await)?,
    };
    with_evses(tx, rows).await
}

/// The stations at these locations.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn at_locations(tx: &mut Tx, locations: &[Uuid]) -> Result<Vec<Station>, DbError> {
    let mut rows: Vec<StationRow> = Vec::new();
    for some in locations.chunks(AT_ONCE) {
        let ids = filled::<AT_ONCE>(some.iter().copied());
        let found: Vec<StationRow> = on!(tx, |c| {
            ids.fold(sqlx::query_as(AT_LOCATIONS), sqlx::query::QueryAs::bind).fetch_all(c).await
        })?;
        rows.extend(found);
    }
    with_evses(tx, rows).await
}

/// The stations without a location after this id, by id.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn without_location(tx: &mut Tx, after: Uuid, limit: i64) -> Result<Vec<Station>, DbError> {
    let rows: Vec<StationRow> =
        on!(tx, |c| sqlx::query_as(WITHOUT_LOCATION).bind(after).bind(limit).fetch_all(c).await)?;
    with_evses(tx, rows).await
}

async fn find_row(tx: &mut Tx, id: Uuid) -> Result<Option<StationRow>, DbError> {
    Ok(on!(tx, |c| sqlx::query_as(FIND).bind(id).fetch_optional(c).await)?)
}

/// The row, which an update or a deletion may still find changed: it is not held yet.
async fn find_version(tx: &mut Tx, id: Uuid, version: i64) -> Result<StationRow, StationError> {
    let row = find_row(tx, id).await?.ok_or(StationError::NotFound)?;
    if row.version == version { Ok(row) } else { Err(StationError::Stale) }
}

async fn with_evses(tx: &mut Tx, rows: Vec<StationRow>) -> Result<Vec<Station>, DbError> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let mut evses = evses::of(tx, &ids).await?;
    let station = |row: StationRow| Station { evses: evses.remove(&row.id).unwrap_or_default(), row };
    Ok(rows.into_iter().map(station).collect())
}

/// The location's row is held, so that it cannot be deleted meanwhile.
async fn at_location(tx: &mut Tx, location: Option<Uuid>) -> Result<(), StationError> {
    let Some(location) = location else { return Ok(()) };
    if locations::take(tx, location).await? {
        return Ok(());
    }
    Err(Refused::new("location_id", "there is no location with this id").into())
}

fn charger_taken() -> StationError {
    StationError::conflict("charger", "there is a station with this charger")
}

/// The charger of a station is known, and leaves the inbox.
async fn adopt(tx: &mut Tx, draft: &StationDraft) -> Result<(), DbError> {
    let Some(charger) = &draft.charger else { return Ok(()) };
    inbox::remove(tx, charger.as_str()).await.map(drop)
}

/// A location is found by the names of its chargers too.
async fn set_words(tx: &mut Tx, location: Uuid) -> Result<(), DbError> {
    let chargers: Vec<(String,)> = on!(tx, |c| sqlx::query_as(CHARGERS).bind(location).fetch_all(c).await)?;
    search::set(tx, location, chargers.iter().flat_map(|(charger,)| search::words(charger)), true).await
}

async fn happened(
    tx: &mut Tx,
    routing_key: &'static str,
    station: Uuid,
    location_id: Option<Uuid>,
    more: serde_json::Value,
) -> Result<(), DbError> {
    events::write(tx, &Happened { routing_key, station_id: Some(station), location_id, more }).await
}
