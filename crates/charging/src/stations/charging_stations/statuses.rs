//! The statuses of connectors, as chargers send them, and those of EVSEs, which follow from them.

use uuid::Uuid;

use super::evses;
use crate::db::{At, DbError, Tx, on, row, statements};
use crate::stations::connectors::{ConnectorStatus, EvseStatus};
use crate::stations::status_log::Sent;

statements! {
    SET_CONNECTOR_STATUS = "UPDATE connectors SET status = $3, status_at = $4 WHERE station_id = $1 AND number = $2";
    STATUSES = "SELECT k.number, k.evse_id, k.status, k.status_at, e.status AS evse_status \
                FROM connectors k JOIN evses e ON e.id = k.evse_id WHERE k.station_id = $1";
}

row! {
    /// The status of a connector, and that of its EVSE.
    struct Statuses {
        number: i64,
        evse_id: Uuid,
        status: Option<ConnectorStatus>,
        status_at: Option<At>,
        evse_status: EvseStatus,
    }
}

/// What a status has done.
pub(super) enum Set {
    /// There is no such connector.
    NoConnector,
    /// A newer one is known.
    Older,
    /// The connector had it before. This is its EVSE.
    Again(Uuid),
    /// It is another one. This is the EVSE, and its status.
    Changed(Uuid, EvseStatus),
}

/// Sets the status of a connector and of its EVSE, unless a newer one is known. The transaction holds the station's row.
pub(super) async fn set(tx: &mut Tx, station: Uuid, sent: &Sent) -> Result<Set, DbError> {
    let mut all: Vec<Statuses> = on!(tx, |c| sqlx::query_as(STATUSES).bind(station).fetch_all(c).await)?;
    let Some(found) = all.iter_mut().find(|found| found.number == sent.connector_number) else {
        return Ok(Set::NoConnector);
    };
    if found.status_at.is_some_and(|at| at > sent.at) {
        return Ok(Set::Older);
    }
    on!(tx, |c| {
        let query = sqlx::query(SET_CONNECTOR_STATUS).bind(station).bind(sent.connector_number);
        query.bind(sent.status).bind(sent.at).execute(c).await.map(drop)
    })?;
    let (evse, before) = (found.evse_id, found.evse_status);
    if found.status.replace(sent.status) == Some(sent.status) {
        return Ok(Set::Again(evse));
    }
    let its = all.iter().filter(|connector| connector.evse_id == evse);
    let status = EvseStatus::of(its.map(|connector| connector.status));
    if status != before {
        evses::set_evse_status(tx, evse, status, Some(sent.at)).await?;
        evses::align(tx, station).await?;
    }
    Ok(Set::Changed(evse, status))
}
