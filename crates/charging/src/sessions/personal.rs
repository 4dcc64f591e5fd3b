//! What sessions are about a person: for the export of an account, and its erasure.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::chargers::commands;
use crate::db::{At, DbError, Tx, on, row, statements};
use crate::tokens;

statements! {
    STORED = "SELECT id, station_id, connector_number, id_tag, state, started_at, ended_at, energy_wh FROM sessions \
              WHERE account_id = $1 ORDER BY number";
    OPEN = "SELECT COUNT(*) FROM sessions WHERE account_id = $1 AND ended_at IS NULL";
    ERASE = "UPDATE sessions SET account_id = NULL, token_id = NULL, id_tag = NULL, id_tag_key = NULL, \
             answer_parent = NULL WHERE account_id = $1";
    ERASE_STOPS = "UPDATE sessions SET stop_id_tag = NULL WHERE stop_id_tag = $1";
}

row! {
    /// A session, as it is stored
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
    pub struct StoredSession {
        /// Its id
        pub id: Uuid,
        /// The station
        pub station_id: Uuid,
        /// The connector
        #[schema(required)]
        pub connector_number: Option<i64>,
        /// What was shown to the charger
        #[schema(required)]
        pub id_tag: Option<String>,
        /// How far it is
        pub state: String,
        /// When it began
        #[schema(required)]
        pub started_at: Option<At>,
        /// When it ended
        #[schema(required)]
        pub ended_at: Option<At>,
        /// The energy, in Wh
        #[schema(required)]
        pub energy_wh: Option<i64>,
    }
}

/// The sessions of an account, as they are stored, for its owner.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub(crate) async fn stored(tx: &mut Tx, account: Uuid) -> Result<Vec<StoredSession>, DbError> {
    Ok(on!(tx, |c| sqlx::query_as(STORED).bind(account).fetch_all(c).await)?)
}

/// Whether a session of the account goes on.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub(crate) async fn is_open(tx: &mut Tx, account: Uuid) -> Result<bool, DbError> {
    let (open,): (i64,) = on!(tx, |c| sqlx::query_as(OPEN).bind(account).fetch_one(c).await)?;
    Ok(open > 0)
}

/// Forgets whose sessions they were; the energy stays. It comes before the tokens of the account are gone.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub(crate) async fn erase(tx: &mut Tx, account: Uuid) -> Result<(), DbError> {
    for tag in tokens::stored(tx, account).await?.into_iter().filter_map(|token| token.id_tag) {
        let tag = tag.to_uppercase();
        on!(tx, |c| sqlx::query(ERASE_STOPS).bind(tag).execute(c).await.map(drop))?;
    }
    on!(tx, |c| sqlx::query(ERASE).bind(account).execute(c).await.map(drop))?;
    commands::erase(tx, account).await
}
