//! The log of the statuses that a charger has sent.

use std::time::Duration;

use uuid::Uuid;

use super::connectors::ConnectorStatus;
use crate::db::{At, DbError, Tx, first_id_at, on, row, statements};

statements! {
    INSERT = "INSERT INTO status_log (id, station_id, evse_id, connector_number, status, error_code, info, at, received_at) \
              VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    LIST = "SELECT id, evse_id, connector_number, status, error_code, info, at, received_at FROM status_log \
            WHERE station_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3";
    PRUNE = "DELETE FROM status_log WHERE id IN (SELECT id FROM status_log WHERE id < $1 ORDER BY id LIMIT $2)";
}

/// How long an entry is kept.
pub const KEPT_FOR: Duration = Duration::from_secs(90 * 86_400);

/// A status, as a charger sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The connector; 0 is the charger itself.
    pub connector_number: i64,
    /// The status.
    pub status: ConnectorStatus,
    /// The charger's error code, if it is not `NoError`.
    pub error_code: Option<String>,
    /// What the charger added.
    pub info: Option<String>,
    /// When it was so, by the charger's clock.
    pub at: At,
}

row! {
    /// An entry of the log.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Entry {
        /// Its id, by which entries sort in the order of their arrival.
        pub id: Uuid,
        /// The EVSE of the connector, if it was known.
        pub evse_id: Option<Uuid>,
        /// The connector; 0 is the charger itself.
        pub connector_number: Option<i64>,
        /// The status.
        pub status: ConnectorStatus,
        /// The charger's error code.
        pub error_code: Option<String>,
        /// What the charger added.
        pub info: Option<String>,
        /// When it was so, by the charger's clock.
        pub at: At,
        /// When it arrived.
        pub received_at: At,
    }
}

/// Adds an entry.
pub(super) async fn add(tx: &mut Tx, station: Uuid, evse: Option<Uuid>, sent: &Sent) -> Result<(), DbError> {
    // A charger may send a null character, which PostgreSQL refuses.
    let plain = |text: &Option<String>| text.as_ref().map(|text| text.replace('\0', ""));
    on!(tx, |c| {
        let query = sqlx::query(INSERT).bind(Uuid::now_v7()).bind(station).bind(evse);
        let query = query.bind(sent.connector_number).bind(sent.status).bind(plain(&sent.error_code));
        query.bind(plain(&sent.info)).bind(sent.at).bind(At::now()).execute(c).await.map(drop)
    })?;
    Ok(())
}

/// The entries of a station before this one, newest first.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn list(tx: &mut Tx, station: Uuid, before: Uuid, limit: i64) -> Result<Vec<Entry>, DbError> {
    Ok(on!(tx, |c| sqlx::query_as(LIST).bind(station).bind(before).bind(limit).fetch_all(c).await)?)
}

/// Deletes entries that arrived before this moment, at most `limit`. Returns how many.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn prune(tx: &mut Tx, before: At, limit: i64) -> Result<u64, DbError> {
    let before = first_id_at(before);
    Ok(on!(tx, |c| {
        sqlx::query(PRUNE).bind(before).bind(limit).execute(c).await.map(|done| done.rows_affected())
    })?)
}
