//! Locations: sites with an address, coordinates, a time zone and opening times.

use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::error::{Refused, StationError};
use super::{BookingTerms, Coordinates, Country, Label, OpeningTimes, TimeZone, id, search};
use crate::db::{At, DbError, Tx, on, row, statements};
use crate::events::{self, Happened};

macro_rules! columns {
    () => {
        "id, name, address, postal_code, city, country, latitude, longitude, time_zone, opening_times, tariff_id, \
         booking_terms, version, created_at, updated_at"
    };
}
pub(super) use columns;

statements! {
    INSERT = concat!("INSERT INTO locations (", columns!(),
        ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 1, $13, $13) ON CONFLICT (id) DO NOTHING");
    FIND = concat!("SELECT ", columns!(), " FROM locations WHERE id = $1");
    UPDATE = "UPDATE locations SET name = $3, address = $4, postal_code = $5, city = $6, country = $7, latitude = $8, \
              longitude = $9, time_zone = $10, opening_times = $11, tariff_id = $12, booking_terms = $13, \
              version = version + 1, updated_at = $14 WHERE id = $1 AND version = $2";
    TAKE = "UPDATE locations SET version = version WHERE id = $1";
    DELETE = "DELETE FROM locations WHERE id = $1 AND version = $2";
    STATIONS = "SELECT COUNT(*) FROM (SELECT 1 FROM stations WHERE location_id = $1 LIMIT 1) AS one";
    NAMED = "SELECT id FROM locations WHERE name = $1 AND address = $2 AND city = $3 AND country = $4 ORDER BY id LIMIT 2";
    LIST = concat!("SELECT ", columns!(), " FROM locations WHERE id > $1 ORDER BY id LIMIT $2");
}

/// A location, as an operator writes it
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = LocationDraft)]
pub struct LocationDraft {
    /// Its id; a new one unless given. Accepted only at creation
    #[serde(default, deserialize_with = "id::optional", skip_serializing_if = "Option::is_none")]
    pub id: Option<Uuid>,
    /// Its name
    pub name: Label,
    /// Street and number
    pub address: Label,
    /// The postal code
    pub postal_code: Option<Label>,
    /// The city
    pub city: Label,
    /// The country
    pub country: Country,
    /// Where it is
    pub coordinates: Coordinates,
    /// Its time zone, by which its opening times, slots and tariffs go
    pub time_zone: TimeZone,
    /// When it is open; at all times if absent
    pub opening_times: Option<OpeningTimes>,
    /// The tariff of its stations that have none of their own
    #[serde(default, deserialize_with = "id::optional")]
    pub tariff_id: Option<Uuid>,
    /// The terms of bookings; without them nothing can be booked here
    pub booking_terms: Option<BookingTerms>,
}

/// A location, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// Its id.
    pub id: Uuid,
    /// What an operator wrote, without the id.
    pub draft: LocationDraft,
    /// Raised by each change; the ETag.
    pub version: i64,
    /// When it was created.
    pub created_at: At,
    /// When it was last changed.
    pub updated_at: At,
}

row! {
    pub(super) struct Stored {
        id: Uuid,
        name: String,
        address: String,
        postal_code: Option<String>,
        city: String,
        country: String,
        latitude: i64,
        longitude: i64,
        time_zone: String,
        opening_times: Option<Json<OpeningTimes>>,
        tariff_id: Option<Uuid>,
        booking_terms: Option<Json<BookingTerms>>,
        version: i64,
        created_at: At,
        updated_at: At,
    }
}

impl LocationDraft {
    /// Checks what the types do not.
    ///
    /// # Errors
    /// Returns the part at fault.
    pub fn check(&self) -> Result<(), Refused> {
        if let Some(times) = &self.opening_times {
            times.check("opening_times")?;
        }
        match &self.booking_terms {
            Some(terms) => terms.check("booking_terms"),
            None => Ok(()),
        }
    }

    /// What the location is found by.
    fn words(&self) -> impl Iterator<Item = String> {
        [&self.name, &self.address, &self.city].into_iter().flat_map(|text| search::words(text.as_str()))
    }
}

impl TryFrom<Stored> for Location {
    type Error = DbError;

    fn try_from(stored: Stored) -> Result<Self, DbError> {
        // What a later release may have stored in another form is shown as a defect, not as something else.
        fn read<T: std::str::FromStr>(column: &'static str, text: &str) -> Result<T, DbError> {
            let bad =
                || sqlx::Error::ColumnDecode { index: column.to_owned(), source: "unexpected value".into() };
            text.parse().map_err(|_| DbError::Defect(bad()))
        }
        Ok(Self {
            id: stored.id,
            draft: LocationDraft {
                id: None,
                name: read("name", &stored.name)?,
                address: read("address", &stored.address)?,
                postal_code: stored.postal_code.map(|code| read("postal_code", &code)).transpose()?,
                city: read("city", &stored.city)?,
                country: read("country", &stored.country)?,
                coordinates: Coordinates::from_micros(stored.latitude, stored.longitude),
                time_zone: read("time_zone", &stored.time_zone)?,
                opening_times: stored.opening_times.map(|times| times.0),
                tariff_id: stored.tariff_id,
                booking_terms: stored.booking_terms.map(|terms| terms.0),
            },
            version: stored.version,
            created_at: stored.created_at,
            updated_at: stored.updated_at,
        })
    }
}

/// Creates a location.
///
/// # Errors
/// Returns an error if the draft is refused, its id is taken, or the database cannot be used.
pub async fn create(tx: &mut Tx, draft: &LocationDraft) -> Result<Location, StationError> {
    draft.check()?;
    let (id, now) = (draft.id.unwrap_or_else(Uuid::now_v7), At::now());
    let created = on!(tx, |c| {
        let query = sqlx::query(INSERT).bind(id).bind(draft.name.as_str()).bind(draft.address.as_str());
        let query = query.bind(draft.postal_code.as_ref().map(Label::as_str)).bind(draft.city.as_str());
        let query = query.bind(draft.country.as_str()).bind(draft.coordinates.latitude.micros());
        let query = query.bind(draft.coordinates.longitude.micros()).bind(draft.time_zone.as_str());
        let query = query.bind(draft.opening_times.as_ref().map(Json)).bind(draft.tariff_id);
        let query = query.bind(draft.booking_terms.as_ref().map(Json)).bind(now);
        query.execute(c).await.map(|done| done.rows_affected())
    })
    .map_err(DbError::from)?;
    if created == 0 {
        return Err(StationError::conflict("id", "there is a location with this id"));
    }
    search::add(tx, id, draft.words(), false).await?;
    happened(tx, "station.location_created", id).await?;
    let draft = LocationDraft { id: None, ..draft.clone() };
    Ok(Location { id, draft, version: 1, created_at: now, updated_at: now })
}

/// The location with this id.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn find(tx: &mut Tx, id: Uuid) -> Result<Option<Location>, DbError> {
    let found: Option<Stored> = on!(tx, |c| sqlx::query_as(FIND).bind(id).fetch_optional(c).await)?;
    found.map(Location::try_from).transpose()
}

/// The locations with this name and address, at most two of them.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn named(
    tx: &mut Tx,
    name: &str,
    address: &str,
    city: &str,
    country: &str,
) -> Result<Vec<Uuid>, DbError> {
    let found: Vec<(Uuid,)> = on!(tx, |c| {
        sqlx::query_as(NAMED).bind(name).bind(address).bind(city).bind(country).fetch_all(c).await
    })?;
    Ok(found.into_iter().map(|(id,)| id).collect())
}

/// Replaces what an operator wrote, if nothing has changed since this version.
///
/// # Errors
/// Returns an error if the draft is refused, the location has changed or is gone, or the database cannot be used.
pub async fn update(
    tx: &mut Tx,
    id: Uuid,
    version: i64,
    draft: &LocationDraft,
) -> Result<Location, StationError> {
    draft.check()?;
    let now = At::now();
    let updated = on!(tx, |c| {
        let query = sqlx::query(UPDATE).bind(id).bind(version).bind(draft.name.as_str());
        let query = query.bind(draft.address.as_str()).bind(draft.postal_code.as_ref().map(Label::as_str));
        let query = query.bind(draft.city.as_str()).bind(draft.country.as_str());
        let query = query.bind(draft.coordinates.latitude.micros());
        let query = query.bind(draft.coordinates.longitude.micros()).bind(draft.time_zone.as_str());
        let query = query.bind(draft.opening_times.as_ref().map(Json)).bind(draft.tariff_id);
        let query = query.bind(draft.booking_terms.as_ref().map(Json)).bind(now);
        query.execute(c).await.map(|done| done.rows_affected())
    })
    .map_err(DbError::from)?;
    if updated == 0 {
        return Err(missed(find(tx, id).await?.is_some()));
    }
    search::set(tx, id, draft.words(), false).await?;
    search::set_place(tx, id, draft.coordinates).await?;
    happened(tx, "station.location_updated", id).await?;
    find(tx, id).await?.ok_or(StationError::NotFound)
}

/// Deletes a location that has no stations, if nothing has changed since this version.
///
/// # Errors
/// Returns an error if it has stations, has changed or is gone, or the database cannot be used.
pub async fn delete(tx: &mut Tx, id: Uuid, version: i64) -> Result<(), StationError> {
    if !take(tx, id).await? {
        return Err(StationError::NotFound);
    }
    let (stations,): (i64,) =
        on!(tx, |c| sqlx::query_as(STATIONS).bind(id).fetch_one(c).await).map_err(DbError::from)?;
    if stations > 0 {
        return Err(StationError::conflict(
            "stations",
            "the location has stations; delete or move them first",
        ));
    }
    let deleted = on!(tx, |c| {
        sqlx::query(DELETE).bind(id).bind(version).execute(c).await.map(|done| done.rows_affected())
    })
    .map_err(DbError::from)?;
    if deleted == 0 {
        return Err(StationError::Stale);
    }
    happened(tx, "station.location_deleted", id).await?;
    Ok(())
}

/// The locations after this id, by id.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn list(tx: &mut Tx, after: Uuid, limit: i64) -> Result<Vec<Location>, DbError> {
    let found: Vec<Stored> = on!(tx, |c| sqlx::query_as(LIST).bind(after).bind(limit).fetch_all(c).await)?;
    found.into_iter().map(Location::try_from).collect()
}

/// Holds the location's row until the end of the transaction. Returns whether it exists.
pub(super) async fn take(tx: &mut Tx, id: Uuid) -> Result<bool, DbError> {
    let taken = on!(tx, |c| sqlx::query(TAKE).bind(id).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(taken > 0)
}

fn missed(exists: bool) -> StationError {
    if exists { StationError::Stale } else { StationError::NotFound }
}

async fn happened(tx: &mut Tx, routing_key: &'static str, location: Uuid) -> Result<(), DbError> {
    let more = serde_json::json!({});
    let event = Happened { routing_key, station_id: None, location_id: Some(location), more };
    events::write(tx, &event).await
}
