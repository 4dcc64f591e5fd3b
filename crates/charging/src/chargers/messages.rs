//! The frames of chargers, both ways, masked before they come here.

use std::time::Duration;

use uuid::Uuid;

use crate::db::{At, DbError, Tx, on, row, statements, words};

statements! {
    INSERT = "INSERT INTO charger_messages (id, station_id, epoch, direction, action, size, body, at) \
              VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    LIST = "SELECT id, epoch, direction, action, size, body, at FROM charger_messages WHERE station_id = $1 AND id < $2 \
            AND (action = $4 OR $4 = '') AND (direction = $5 OR $5 = '') AND at >= $6 ORDER BY id DESC LIMIT $3";
    PRUNE = "DELETE FROM charger_messages WHERE id IN (SELECT id FROM charger_messages WHERE id < $1 ORDER BY id LIMIT $2)";
}

/// How long a frame is kept.
pub const KEPT_FOR: Duration = Duration::from_secs(7 * 86_400);

words! {
    /// Who sent a frame
    pub enum Direction {
        /// The charger.
        In = "in",
        /// The gateway.
        Out = "out",
    }
}

row! {
    /// A frame.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Message {
        /// Its id, by which frames sort in their order.
        pub id: Uuid,
        /// The connection, by its epoch.
        pub epoch: i64,
        /// Who sent it.
        pub direction: Direction,
        /// What it is about, if that is known.
        pub action: Option<String>,
        /// Its size in bytes, before anything was masked or cut.
        pub size: i64,
        /// Its text, masked.
        pub body: String,
        /// When it was sent or read.
        pub at: At,
    }
}

/// Which frames are listed.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Those about this.
    pub action: Option<String>,
    /// Those of this direction.
    pub direction: Option<Direction>,
    /// Those from this moment on.
    pub from: Option<At>,
}

/// Stores frames.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn add(tx: &mut Tx, messages: &[(Uuid, Message)]) -> Result<(), DbError> {
    for (station, message) in messages {
        on!(tx, |c| {
            let query = sqlx::query(INSERT).bind(message.id).bind(station).bind(message.epoch);
            let query = query.bind(message.direction).bind(&message.action).bind(message.size);
            query.bind(&message.body).bind(message.at).execute(c).await.map(drop)
        })?;
    }
    Ok(())
}

/// The frames of a station before this one, newest first.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn list(
    tx: &mut Tx,
    station: Uuid,
    filter: &Filter,
    before: Uuid,
    limit: i64,
) -> Result<Vec<Message>, DbError> {
    let from = filter.from.unwrap_or_else(|| At::now().minus(2 * KEPT_FOR));
    let (action, direction) =
        (filter.action.as_deref().unwrap_or_default(), filter.direction.map_or("", Direction::as_str));
    Ok(on!(tx, |c| {
        let query = sqlx::query_as(LIST).bind(station).bind(before).bind(limit).bind(action);
        query.bind(direction).bind(from).fetch_all(c).await
    })?)
}

/// Deletes frames from before this moment, at most `limit`. Returns how many.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn prune(tx: &mut Tx, before: At, limit: i64) -> Result<u64, DbError> {
    let before = crate::db::first_id_at(before);
    Ok(on!(tx, |c| {
        sqlx::query(PRUNE).bind(before).bind(limit).execute(c).await.map(|done| done.rows_affected())
    })?)
}
