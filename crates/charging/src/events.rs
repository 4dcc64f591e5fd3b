//! The outbox: events, written in the transaction that made them happen, then numbered, then published.
//!
//! A transaction that changes a station takes the station's row before it writes its event, so events of one station get
//! their ids in the order of their commits. Ids of different stations may become visible in another order; so readers go by
//! the position, which is given afterwards, by one process at a time, to events that are committed.

pub mod relay;

use serde::Serialize;
use serde_json::Value;
use sqlx::types::Json;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::db::{At, DbError, Tx, on, row, statements};

statements! {
    INSERT = "INSERT INTO outbox (routing_key, station_id, location_id, data, at) VALUES ($1, $2, $3, $4, $5)";
    /// Holds the row until the end of the transaction, so that no two processes give positions at once.
    TAKE_STATE = "UPDATE outbox_state SET last_position = last_position RETURNING last_position";
    UNNUMBERED = "SELECT COUNT(*) FROM (SELECT id FROM outbox WHERE position IS NULL LIMIT 1) AS new";
    NUMBER = "UPDATE outbox SET position = $1 + numbered.n FROM (\
                SELECT id, row_number() OVER (ORDER BY id) AS n FROM outbox WHERE position IS NULL ORDER BY id LIMIT 500\
              ) AS numbered WHERE outbox.id = numbered.id";
    SET_LAST = "UPDATE outbox_state SET last_position = $1";
    STATE = "SELECT last_position, published, (SELECT MIN(position) FROM outbox) AS first FROM outbox_state";
    AFTER = "SELECT position, routing_key, station_id, location_id, data, at FROM outbox \
             WHERE position > $1 ORDER BY position LIMIT $2";
    PUBLISHED = "UPDATE outbox_state SET published = $1 WHERE published < $1";
    PRUNE = "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE at < $1 \
             AND position <= (SELECT published FROM outbox_state) ORDER BY id LIMIT $2)";
    PRUNE_UNPUBLISHED = "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE at < $1 \
             AND position IS NOT NULL ORDER BY id LIMIT $2)";
}

/// Notified when this process has written an event, so that readers in the same process need not wait for their next look.
pub type Written = Notify;

/// Something that happened. It carries ids, never personal data.
#[derive(Debug, Clone)]
pub struct Happened {
    /// The routing key: the subject and what happened to it, such as `station.updated`.
    pub routing_key: &'static str,
    /// The station that it is about.
    pub station_id: Option<Uuid>,
    /// The location that it is about.
    pub location_id: Option<Uuid>,
    /// What else is to be known.
    pub more: Value,
}

row! {
    /// An event of the outbox.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Event {
        /// Its place among all events; grows without gaps.
        pub position: i64,
        /// The subject and what happened to it.
        pub routing_key: String,
        /// The station that it is about.
        pub station_id: Option<Uuid>,
        /// The location that it is about.
        pub location_id: Option<Uuid>,
        /// What else is to be known: an object.
        pub data: Json<Value>,
        /// When it happened.
        pub at: At,
    }
}

row! {
    /// How far the outbox is.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct State {
        /// The last position that was given.
        pub last_position: i64,
        /// The last position that was published.
        pub published: i64,
        /// The first position that is still stored.
        pub first: Option<i64>,
    }
}

/// The JSON of an event, as it is published and streamed.
#[derive(Debug, Serialize)]
struct Body<'a> {
    id: i64,
    #[serde(rename = "type")]
    kind: &'a str,
    at: At,
    #[serde(skip_serializing_if = "Option::is_none")]
    station_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location_id: Option<Uuid>,
    #[serde(flatten)]
    more: &'a Value,
}

impl Event {
    /// The subject: the first word of the routing key, such as `station`.
    pub fn subject(&self) -> &str {
        self.routing_key.split('.').next().unwrap_or_default()
    }

    /// The event as JSON: `id`, `type`, `at`, the ids, and what else is to be known.
    pub fn to_json(&self) -> String {
        let body = Body {
            id: self.position,
            kind: &self.routing_key,
            at: self.at,
            station_id: self.station_id,
            location_id: self.location_id,
            more: &self.data.0,
        };
        serde_json::to_string(&body).unwrap_or_default()
    }
}

/// Writes an event. The transaction must hold the row of the station, or of the location, that the event is about.
///
/// # Errors
/// Returns an error if the database refuses it.
pub async fn write(tx: &mut Tx, event: &Happened) -> Result<(), DbError> {
    on!(tx, |c| {
        let query =
            sqlx::query(INSERT).bind(event.routing_key).bind(event.station_id).bind(event.location_id);
        query.bind(Json(&event.more)).bind(At::now()).execute(c).await.map(drop)
    })?;
    Ok(())
}

/// Assigns positions to committed events, at most 500. Returns how many.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn number(tx: &mut Tx) -> Result<u64, DbError> {
    let (last,): (i64,) = on!(tx, |c| sqlx::query_as(TAKE_STATE).fetch_one(c).await)?;
    let numbered =
        on!(tx, |c| sqlx::query(NUMBER).bind(last).execute(c).await.map(|done| done.rows_affected()))?;
    if numbered > 0 {
        let last = last + i64::try_from(numbered).unwrap_or_default();
        on!(tx, |c| sqlx::query(SET_LAST).bind(last).execute(c).await.map(drop))?;
    }
    Ok(numbered)
}

/// Whether there are committed events without a position. It only reads, so it may be asked often.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn are_unnumbered(tx: &mut Tx) -> Result<bool, DbError> {
    let (some,): (i64,) = on!(tx, |c| sqlx::query_as(UNNUMBERED).fetch_one(c).await)?;
    Ok(some > 0)
}

/// How far the outbox is.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn state(tx: &mut Tx) -> Result<State, DbError> {
    Ok(on!(tx, |c| sqlx::query_as(STATE).fetch_one(c).await)?)
}

/// The events after this position, in order, at most `limit`.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn after(tx: &mut Tx, position: i64, limit: i64) -> Result<Vec<Event>, DbError> {
    Ok(on!(tx, |c| sqlx::query_as(AFTER).bind(position).bind(limit).fetch_all(c).await)?)
}

/// Records that all events up to this position are published.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn published(tx: &mut Tx, position: i64) -> Result<(), DbError> {
    on!(tx, |c| sqlx::query(PUBLISHED).bind(position).execute(c).await.map(drop))?;
    Ok(())
}

/// Deletes events that are older than this moment, at most `limit`; where events are published, only published ones.
/// Returns how many.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn prune(tx: &mut Tx, before: At, limit: i64, are_published: bool) -> Result<u64, DbError> {
    let statement = if are_published { PRUNE } else { PRUNE_UNPUBLISHED };
    Ok(on!(tx, |c| {
        sqlx::query(statement).bind(before).bind(limit).execute(c).await.map(|done| done.rows_affected())
    })?)
}
