//! Charging sessions: one charging at one EVSE, from its start to its stop, as the charger reports them. A start is recorded
//! once however often it is sent, a stop is never refused, and what contradicts itself is kept and marked.

mod anomalies;
pub mod close;
mod energy;
pub mod meter_values;
pub(crate) mod personal;
pub mod start;
pub mod stop;

use sqlx::types::Json;
use uuid::Uuid;

use crate::db::{At, DbError, Tx, on, row, statements, words};
use crate::events::{self, Happened};

pub use self::anomalies::Anomaly;
pub use self::personal::StoredSession;

macro_rules! select {
    ($which:literal) => {
        concat!(
            "SELECT number, id, station_id, charger, location_id, evse_id, connector_number, token_id, account_id, id_tag, \
             state, started_at, start_received_at, ended_at, end_received_at, meter_start, meter_stop, last_meter, \
             last_meter_at, energy_wh, stop_reason, stop_id_tag, answer, answer_expires_at, \
             answer_parent, confirmed, reservation_number, anomalies, \
             created_at, updated_at FROM sessions WHERE ",
            $which
        )
    };
}
use select;

/// The most selective condition comes first, so that its index is used.
macro_rules! list {
    ($first:literal) => {
        concat!(
            select!("number < $1 AND "),
            $first,
            " AND (id_tag_key = $4 OR $4 = '') AND ($5 = '' OR ($5 = 'active' AND ended_at IS NULL) \
             OR ($5 = 'stopped' AND ended_at IS NOT NULL)) ORDER BY number DESC LIMIT $2"
        )
    };
}

macro_rules! count {
    ($first:literal) => {
        concat!(
            "SELECT COUNT(*) FROM sessions WHERE ",
            $first,
            " AND (id_tag_key = $2 OR $2 = '') AND ($3 = '' OR ($3 = 'active' AND ended_at IS NULL) \
             OR ($3 = 'stopped' AND ended_at IS NOT NULL))"
        )
    };
}

statements! {
    BY_ID = select!("id = $1");
    BY_NUMBER = select!("number = $1");
    ALL = list!("(station_id = $3 OR $3 IS NULL)");
    OF_STATION = list!("station_id = $3");
    OF_TAG = list!("id_tag_key = $4 AND (station_id = $3 OR $3 IS NULL)");
    COUNT = count!("(station_id = $1 OR $1 IS NULL)");
    COUNT_OF_STATION = count!("station_id = $1");
    COUNT_OF_TAG = count!("id_tag_key = $2 AND (station_id = $1 OR $1 IS NULL)");
    ANSWERED = "UPDATE sessions SET answer = $2, answer_expires_at = $3, answer_parent = $4, updated_at = $5 \
                WHERE id = $1 AND answer IS NULL";
}

words! {
    /// How far a session is
    pub enum SessionState {
        /// It was requested and has not begun.
        Pending = "pending",
        /// The vehicle may charge.
        Active = "active",
        /// It has ended.
        Completed = "completed",
        /// It must have ended, and the charger has not said so.
        EndedUnconfirmed = "ended_unconfirmed",
        /// It was requested and did not begin.
        NotStarted = "not_started",
        /// It could not begin.
        Failed = "failed",
    }
}

row! {
    /// A session.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Session {
        /// OCPP's `transactionId`.
        pub number: i64,
        /// Its id.
        pub id: Uuid,
        /// The station.
        pub station_id: Uuid,
        /// The name of its charger at that time.
        pub charger: String,
        /// Where it was.
        pub location_id: Option<Uuid>,
        /// The EVSE, if it was known.
        pub evse_id: Option<Uuid>,
        /// The connector.
        pub connector_number: Option<i64>,
        /// The token that started it.
        pub token_id: Option<Uuid>,
        /// The account of that token, at that time.
        pub account_id: Option<Uuid>,
        /// The id tag, as it was sent.
        pub id_tag: Option<String>,
        /// How far it is.
        pub state: SessionState,
        /// When it began, by the charger's clock.
        pub started_at: Option<At>,
        /// When that arrived.
        pub start_received_at: Option<At>,
        /// When it ended, by the charger's clock.
        pub ended_at: Option<At>,
        /// When that arrived.
        pub end_received_at: Option<At>,
        /// The register at the start, in Wh.
        pub meter_start: Option<i64>,
        /// The register at the end, in Wh.
        pub meter_stop: Option<i64>,
        /// The newest reading of the register, in Wh.
        pub last_meter: Option<i64>,
        /// When it was taken.
        pub last_meter_at: Option<At>,
        /// The energy, in Wh; `None` if it is not known.
        pub energy_wh: Option<i64>,
        /// Why it ended.
        pub stop_reason: Option<String>,
        /// Who ended it, in upper case.
        pub stop_id_tag: Option<String>,
        /// What the start was answered.
        pub answer: Option<String>,
        /// Until when the charger may remember that answer.
        pub answer_expires_at: Option<At>,
        /// The group of the tag in that answer.
        pub answer_parent: Option<String>,
        /// Whether the charger has used the number.
        pub confirmed: bool,
        /// The reservation that it used up.
        pub reservation_number: Option<i64>,
        /// What is doubtful about it.
        pub anomalies: Json<Vec<Anomaly>>,
        /// When it was recorded.
        pub created_at: At,
        /// When it was last changed.
        pub updated_at: At,
    }
}

/// What a start was answered.
#[derive(Clone, PartialEq, Eq)]
pub struct StartAnswer {
    /// OCPP's word.
    pub status: String,
    /// Until when the charger may remember it.
    pub expires_at: Option<At>,
    /// The group of the tag.
    pub parent: Option<String>,
}

impl std::fmt::Debug for StartAnswer {
    /// Without the group, which is a tag.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("StartAnswer").field("status", &self.status).finish_non_exhaustive()
    }
}

/// Which sessions are listed.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Those at this station.
    pub station: Option<Uuid>,
    /// Those of this id tag, in upper case.
    pub id_tag_key: Option<String>,
    /// Those that go on, or those that have ended.
    pub active: Option<bool>,
}

impl Filter {
    fn state(&self) -> &'static str {
        match self.active {
            None => "",
            Some(true) => "active",
            Some(false) => "stopped",
        }
    }
}

/// The session with this id.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn find(tx: &mut Tx, id: Uuid) -> Result<Option<Session>, DbError> {
    Ok(on!(tx, |c| sqlx::query_as(BY_ID).bind(id).fetch_optional(c).await)?)
}

/// The session with this `transactionId`.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn by_number(tx: &mut Tx, number: i64) -> Result<Option<Session>, DbError> {
    Ok(on!(tx, |c| sqlx::query_as(BY_NUMBER).bind(number).fetch_optional(c).await)?)
}

/// The sessions before this number, newest first.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn list(tx: &mut Tx, filter: &Filter, before: i64, limit: i64) -> Result<Vec<Session>, DbError> {
    let tag = filter.id_tag_key.as_deref().unwrap_or_default();
    let statement = match (filter.station, tag) {
        (Some(_), _) => OF_STATION,
        (None, "") => ALL,
        (None, _) => OF_TAG,
    };
    Ok(on!(tx, |c| {
        let query = sqlx::query_as(statement).bind(before).bind(limit).bind(filter.station).bind(tag);
        query.bind(filter.state()).fetch_all(c).await
    })?)
}

/// How many sessions there are.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn count(tx: &mut Tx, filter: &Filter) -> Result<i64, DbError> {
    let tag = filter.id_tag_key.as_deref().unwrap_or_default();
    let statement = match (filter.station, tag) {
        (Some(_), _) => COUNT_OF_STATION,
        (None, "") => COUNT,
        (None, _) => COUNT_OF_TAG,
    };
    let (count,): (i64,) = on!(tx, |c| {
        let query = sqlx::query_as(statement).bind(filter.station).bind(tag);
        query.bind(filter.state()).fetch_one(c).await
    })?;
    Ok(count)
}

/// Records what the start of a session was answered, unless that is recorded.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn answered(tx: &mut Tx, id: Uuid, answer: &StartAnswer) -> Result<(), DbError> {
    on!(tx, |c| {
        let query = sqlx::query(ANSWERED).bind(id).bind(&answer.status).bind(answer.expires_at);
        query.bind(&answer.parent).bind(At::now()).execute(c).await.map(drop)
    })?;
    Ok(())
}

async fn happened(tx: &mut Tx, routing_key: &'static str, session: &Session) -> Result<(), DbError> {
    let more = serde_json::json!({
        "session_id": session.id,
        "evse_id": session.evse_id,
        "connector_number": session.connector_number,
        "state": session.state,
        "energy_wh": session.energy_wh,
    });
    let (station_id, location_id) = (Some(session.station_id), session.location_id);
    events::write(tx, &Happened { routing_key, station_id, location_id, more }).await
}
