//! The inbox: chargers that tried to connect and are not known. An operator adopts them.

use serde_json::json;

use crate::db::{At, DbError, Tx, on, row, statements};
use crate::events::{self, Happened};

statements! {
    NOTE = "INSERT INTO unknown_chargers (name, address, user_agent, subprotocols, attempts, first_seen, last_seen) \
            VALUES ($1, $2, $3, $4, 1, $5, $5) ON CONFLICT (name) DO UPDATE SET address = excluded.address, \
            user_agent = excluded.user_agent, subprotocols = excluded.subprotocols, last_seen = excluded.last_seen, \
            attempts = unknown_chargers.attempts + 1 RETURNING attempts";
    /// Of those that came in the same millisecond, any may leave.
    LIMIT_ROWS = "DELETE FROM unknown_chargers WHERE name IN (SELECT name FROM unknown_chargers \
                  ORDER BY last_seen DESC, name DESC LIMIT 100 OFFSET $1)";
    LIST = "SELECT name, address, user_agent, subprotocols, attempts, first_seen, last_seen FROM unknown_chargers \
            WHERE name > $1 ORDER BY name LIMIT $2";
    REMOVE = "DELETE FROM unknown_chargers WHERE name = $1";
}

/// How many are kept. The oldest leave.
const MAX: i64 = 1000;

row! {
    /// A charger that is not known.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct UnknownCharger {
        /// The name that it gave.
        pub name: String,
        /// The address that it came from.
        pub address: Option<String>,
        /// What it says it is.
        pub user_agent: Option<String>,
        /// The subprotocols that it offered, as it wrote them.
        pub subprotocols: String,
        /// How often it tried.
        pub attempts: i64,
        /// When it came first.
        pub first_seen: At,
        /// When it came last.
        pub last_seen: At,
    }
}

/// An attempt of an unknown charger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The name that it gave.
    pub name: String,
    /// The address that it came from.
    pub address: Option<String>,
    /// What it says it is.
    pub user_agent: Option<String>,
    /// The subprotocols that it offered.
    pub subprotocols: String,
}

/// Notes an attempt. The first one is an event.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn note(tx: &mut Tx, attempt: &Attempt) -> Result<(), DbError> {
    let (attempts,): (i64,) = on!(tx, |c| {
        let query = sqlx::query_as(NOTE).bind(&attempt.name).bind(&attempt.address).bind(&attempt.user_agent);
        query.bind(&attempt.subprotocols).bind(At::now()).fetch_one(c).await
    })?;
    if attempts > 1 {
        return Ok(());
    }
    on!(tx, |c| sqlx::query(LIMIT_ROWS).bind(MAX).execute(c).await.map(drop))?;
    let more = json!({"charger": attempt.name});
    events::write(tx, &Happened { routing_key: "charger.unknown", station_id: None, location_id: None, more })
        .await
}

/// The chargers after this name, by name.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn list(tx: &mut Tx, after: &str, limit: i64) -> Result<Vec<UnknownCharger>, DbError> {
    Ok(on!(tx, |c| sqlx::query_as(LIST).bind(after).bind(limit).fetch_all(c).await)?)
}

/// Removes one. Returns whether it was there.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn remove(tx: &mut Tx, name: &str) -> Result<bool, DbError> {
    let removed =
        on!(tx, |c| sqlx::query(REMOVE).bind(name).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(removed > 0)
}
