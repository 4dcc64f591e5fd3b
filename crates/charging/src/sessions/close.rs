//! The end of a session by a person: its charger does not say that it has ended.

use serde_json::json;
use uuid::Uuid;

use super::{Session, start};
use crate::accounts::audit::{self, Act};
use crate::db::{At, DbError, Tx};
use crate::stations::charging_stations;

/// What became of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Closed {
    /// It has ended now, by its newest reading.
    Now(Session),
    /// It had ended before, and is unchanged.
    Before(Session),
}

/// Ends a session that goes on. The stop of its charger, if it comes, replaces what is recorded here. `None` if there is no
/// such session.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn record(
    tx: &mut Tx,
    id: Uuid,
    actor: &str,
    reason: Option<&str>,
) -> Result<Option<Closed>, DbError> {
    let Some(found) = super::find(tx, id).await? else { return Ok(None) };
    // The station is held, so that a stop that comes now waits. It may be gone.
    charging_stations::take(tx, found.station_id).await?;
    let Some(session) = super::find(tx, id).await? else { return Ok(None) };
    if session.ended_at.is_some() {
        return Ok(Some(Closed::Before(session)));
    }
    let session = start::infer_end(tx, session, At::now()).await?;
    let data = json!({"station_id": session.station_id, "energy_wh": session.energy_wh});
    let act = Act { actor, action: "session.closed", subject: "session", subject_id: id, reason, data };
    audit::write(tx, &act).await?;
    Ok(Some(Closed::Now(session)))
}
