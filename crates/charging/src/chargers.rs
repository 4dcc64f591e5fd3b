//! Charging stations as OCPP sees them: how they connect, what they say about themselves, commands and frames. A charger is
//! the station with its name; its row here comes with its first connection, or with what an operator sets.

pub mod boots;
pub mod certificates;
pub mod commands;
pub mod connections;
pub mod credentials;
pub mod inbox;
pub mod messages;
pub mod nodes;
pub mod security_events;
pub mod sweeper;
pub mod transfers;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::db::{At, DbError, Tx, filled, on, row, statements, words};
use crate::events::{self, Happened};
use crate::stations::{Refused, charging_stations, error_within};

pub use self::credentials::{Credentials, Password};
use self::transfers::Transfers;

macro_rules! columns {
    () => {
        "station_id, registration, enabled, security_profile, assume_subprotocol, clock_offset_minutes, \
         password_hash IS NOT NULL AS has_password, epoch, node_id, connected_at, disconnected_at, disconnect_reason, \
         subprotocol, charge_point_serial, charge_box_serial, iccid, imsi, meter_type, meter_serial, booted_at, \
         clock_skew_ms, leniencies, certificate_requested_at, transfers"
    };
}

statements! {
    FIND = concat!("SELECT ", columns!(), " FROM chargers WHERE station_id = $1");
    SOME = concat!("SELECT ", columns!(), " FROM chargers WHERE station_id IN ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)");
    ADD = "INSERT INTO chargers (station_id, registration, enabled, security_profile, assume_subprotocol, \
           clock_offset_minutes, epoch, leniencies) VALUES ($1, $2, $3, $4, $5, $6, 0, $7) ON CONFLICT (station_id) DO NOTHING";
    SET = "UPDATE chargers SET registration = $2, enabled = $3, security_profile = $4, assume_subprotocol = $5, \
           clock_offset_minutes = $6 WHERE station_id = $1";
}

/// The parameters of `SOME`.
const AT_ONCE: usize = 10;

words! {
    /// Whether a charger is accepted (OCPP 1.6 `RegistrationStatus`)
    pub enum Registration {
        /// It is.
        Accepted = "Accepted",
        /// An operator has still to decide.
        Pending = "Pending",
        /// It is not wanted.
        Rejected = "Rejected",
    }
}

/// What an operator sets of a charger
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ChargerTerms {
    /// Whether it is accepted
    pub registration: Registration,
    /// Whether it may connect
    pub enabled: bool,
    /// The lowest security profile that it may connect with: 0 none, 1 password, 2 TLS and password, 3 TLS and certificate
    #[schema(minimum = 0, maximum = 3)]
    pub security_profile: i64,
    /// Whether it may connect without naming a subprotocol
    pub assume_subprotocol: bool,
    /// How many minutes it is ahead of UTC, if it sends its local time without an offset
    #[schema(minimum = -840, maximum = 840)]
    pub clock_offset_minutes: i64,
}

row! {
    /// The row of a charger.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Charger {
        /// Its station.
        pub station_id: Uuid,
        /// Whether it is accepted.
        pub registration: Registration,
        /// Whether it may connect.
        pub enabled: bool,
        /// The lowest security profile that it may connect with.
        pub security_profile: i64,
        /// Whether it may connect without naming a subprotocol.
        pub assume_subprotocol: bool,
        /// How many minutes it is ahead of UTC.
        pub clock_offset_minutes: i64,
        /// Whether it has a password.
        pub has_password: bool,
        /// Raised by each connection.
        pub epoch: i64,
        /// The node that holds its connection, as far as is known.
        pub node_id: Option<Uuid>,
        /// Since when it is connected, or when it was last.
        pub connected_at: Option<At>,
        /// When its last connection ended.
        pub disconnected_at: Option<At>,
        /// Why.
        pub disconnect_reason: Option<String>,
        /// The subprotocol of its last connection.
        pub subprotocol: Option<String>,
        /// Its serial number.
        pub charge_point_serial: Option<String>,
        /// The serial number of its box.
        pub charge_box_serial: Option<String>,
        /// Of its SIM card.
        pub iccid: Option<String>,
        /// Of its SIM card.
        pub imsi: Option<String>,
        /// The type of its meter.
        pub meter_type: Option<String>,
        /// The serial number of its meter.
        pub meter_serial: Option<String>,
        /// When it last booted.
        pub booted_at: Option<At>,
        /// How far its clock is ahead, in milliseconds.
        pub clock_skew_ms: Option<i64>,
        /// How often what was taken leniently, by kind.
        pub leniencies: Json<BTreeMap<String, i64>>,
        /// When it last asked for a certificate.
        pub certificate_requested_at: Option<At>,
        /// How its files fare.
        pub transfers: Option<Json<Transfers>>,
    }
}

impl Default for ChargerTerms {
    fn default() -> Self {
        Self {
            registration: Registration::Accepted,
            enabled: true,
            security_profile: 0,
            assume_subprotocol: false,
            clock_offset_minutes: 0,
        }
    }
}

impl ChargerTerms {
    /// Checks what the types do not.
    ///
    /// # Errors
    /// Returns the part at fault.
    pub fn check(&self) -> Result<(), Refused> {
        error_within("security_profile", self.security_profile, 0..=3)?;
        error_within("clock_offset_minutes", self.clock_offset_minutes, -840..=840)
    }
}

impl Charger {
    /// What an operator has set.
    pub fn terms(&self) -> ChargerTerms {
        ChargerTerms {
            registration: self.registration,
            enabled: self.enabled,
            security_profile: self.security_profile,
            assume_subprotocol: self.assume_subprotocol,
            clock_offset_minutes: self.clock_offset_minutes,
        }
    }
}

/// The charger of this station, if it has ever connected or an operator has set something.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn find(tx: &mut Tx, station: Uuid) -> Result<Option<Charger>, DbError> {
    Ok(on!(tx, |c| sqlx::query_as(FIND).bind(station).fetch_optional(c).await)?)
}

/// The chargers of these stations, as far as they have a row.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn of(tx: &mut Tx, stations: &[Uuid]) -> Result<BTreeMap<Uuid, Charger>, DbError> {
    let mut chargers = BTreeMap::new();
    for some in stations.chunks(AT_ONCE) {
        let ids = filled::<AT_ONCE>(some.iter().copied());
        let found: Vec<Charger> =
            on!(tx, |c| ids.fold(sqlx::query_as(SOME), sqlx::query::QueryAs::bind).fetch_all(c).await)?;
        chargers.extend(found.into_iter().map(|charger| (charger.station_id, charger)));
    }
    Ok(chargers)
}

/// Adds a row for the charger of this station unless there is one.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub(crate) async fn add(tx: &mut Tx, station: Uuid) -> Result<(), DbError> {
    let terms = ChargerTerms::default();
    on!(tx, |c| {
        let query = sqlx::query(ADD).bind(station).bind(terms.registration).bind(terms.enabled);
        let query = query.bind(terms.security_profile).bind(terms.assume_subprotocol);
        let query = query.bind(terms.clock_offset_minutes).bind(Json(serde_json::json!({})));
        query.execute(c).await.map(drop)
    })?;
    Ok(())
}

/// Sets what an operator decides. The gateway learns it by the event.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn set_terms(tx: &mut Tx, station: Uuid, terms: &ChargerTerms) -> Result<(), DbError> {
    let location = charging_stations::take(tx, station).await?.flatten();
    add(tx, station).await?;
    on!(tx, |c| {
        let query = sqlx::query(SET).bind(station).bind(terms.registration).bind(terms.enabled);
        let query = query.bind(terms.security_profile).bind(terms.assume_subprotocol);
        query.bind(terms.clock_offset_minutes).execute(c).await.map(drop)
    })?;
    charging_stations::named::touch(tx, station).await?;
    happened(tx, "charger.updated", station, location, serde_json::json!({})).await
}

/// Says that a driver was answered. Who it was is in the record of the decision only.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn authorized(tx: &mut Tx, station: Uuid, answer: &str) -> Result<(), DbError> {
    let Some(location) = charging_stations::take(tx, station).await? else { return Ok(()) };
    happened(tx, "charger.authorized", station, location, serde_json::json!({"answer": answer})).await
}

pub(crate) async fn happened(
    tx: &mut Tx,
    routing_key: &'static str,
    station: Uuid,
    location_id: Option<Uuid>,
    more: serde_json::Value,
) -> Result<(), DbError> {
    events::write(tx, &Happened { routing_key, station_id: Some(station), location_id, more }).await
}
