//! The readings of meters. The same reading is stored once, whether it came by itself or with a stop.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use super::energy;
use crate::db::{At, DbError, Tx, on, row, statements};
use crate::events::{self, Happened};

statements! {
    INSERT = "INSERT INTO meter_values (station_id, connector_number, at, measurand, phase, context, location, session_id, \
              value, unit, raw, received_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
              ON CONFLICT DO NOTHING";
    SESSION = "SELECT id, started_at, start_received_at, ended_at, confirmed, updated_at FROM sessions \
               WHERE number = $1 AND station_id = $2";
    /// The charger has used the number, so it has the answer to the start.
    CONFIRM = "UPDATE sessions SET confirmed = $2 WHERE id = $1";
    /// A clock may be set back during a session; its register grows all the same.
    SET_LAST = "UPDATE sessions SET last_meter = $2, last_meter_at = $3 WHERE id = $1 \
                AND (last_meter_at IS NULL OR last_meter_at <= $3 OR last_meter < $2)";
    /// At most once a second, so that a charger that reports often does not fill the stream of events.
    SHOW = "UPDATE sessions SET updated_at = $2 WHERE id = $1 AND ended_at IS NULL AND updated_at <= $3";
    OF_SESSION = "SELECT connector_number, at, measurand, phase, context, location, value, unit, raw, received_at \
                  FROM meter_values WHERE session_id = $1 AND at > $2 ORDER BY at, measurand, phase, context, location LIMIT $3";
}

/// The measurand of the register that is billed (OCPP 1.6, section 7.31).
const REGISTER: &str = "Energy.Active.Import.Register";
const POWER: &str = "Power.Active.Import";
const SHOWN_EVERY: Duration = Duration::from_secs(1);

row! {
    /// What readings have to know of their session.
    struct Metered {
        id: Uuid,
        started_at: Option<At>,
        start_received_at: Option<At>,
        ended_at: Option<At>,
        confirmed: bool,
        updated_at: At,
    }
}

row! {
    /// A reading.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Reading {
        /// The connector; 0 is the charger's own meter.
        pub connector_number: i64,
        /// When it was taken, by the charger's clock.
        pub at: At,
        /// What it is of.
        pub measurand: String,
        /// The phase; empty for all of them.
        pub phase: String,
        /// Why the meter was read.
        pub context: String,
        /// Where.
        pub location: String,
        /// The value, in its unit.
        pub value: Option<i64>,
        /// Its unit.
        pub unit: Option<String>,
        /// Signed data, or a value that is no number.
        pub raw: Option<String>,
        /// When it arrived.
        pub received_at: At,
    }
}

/// Stores readings. `number` is the session's, as the charger knows it; one that is not this charger's is ignored.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn record(
    tx: &mut Tx,
    station: Uuid,
    number: Option<i64>,
    readings: &[Reading],
) -> Result<(), DbError> {
    let session: Option<Metered> = match number {
        Some(number) => {
            on!(tx, |c| sqlx::query_as(SESSION).bind(number).bind(station).fetch_optional(c).await)?
        }
        None => None,
    };
    let readings = match &session {
        Some(Metered { started_at: Some(began), start_received_at: Some(received), .. }) => {
            &*settled(readings, *began, *received)
        }
        _ => readings,
    };
    let id = session.as_ref().map(|session| session.id);
    for reading in readings {
        on!(tx, |c| {
            let query = sqlx::query(INSERT).bind(station).bind(reading.connector_number).bind(reading.at);
            let query = query.bind(&reading.measurand).bind(&reading.phase).bind(&reading.context);
            let query = query.bind(&reading.location).bind(id).bind(reading.value).bind(&reading.unit);
            query.bind(&reading.raw).bind(reading.received_at).execute(c).await.map(drop)
        })?;
    }
    let Some(session) = session else { return Ok(()) };
    let newest = readings.iter().filter(|reading| reading.is_register()).max_by_key(|reading| reading.at);
    if !session.confirmed {
        on!(tx, |c| sqlx::query(CONFIRM).bind(session.id).bind(true).execute(c).await.map(drop))?;
    }
    if let Some(newest) = newest {
        on!(tx, |c| {
            let query = sqlx::query(SET_LAST).bind(session.id).bind(newest.value).bind(newest.at);
            query.execute(c).await.map(drop)
        })?;
    }
    let is_due = session.ended_at.is_none() && session.updated_at <= At::now().minus(SHOWN_EVERY);
    if is_due { show(tx, session.id, readings).await } else { Ok(()) }
}

/// The readings of a session with moments that no other session has. A clock that is not set stands at the same moment after
/// each start of its charger: such readings count from when the start of their session arrived. Repeated ones have the same
/// moment then, too.
fn settled(readings: &[Reading], began: At, received: At) -> Cow<'_, [Reading]> {
    if energy::is_trusted(began) || readings.iter().all(|reading| energy::is_trusted(reading.at)) {
        return readings.into();
    }
    let behind = received.millis() - began.millis();
    let settled = readings.iter().map(|reading| match energy::is_trusted(reading.at) {
        true => reading.clone(),
        false => Reading { at: At::from_millis(reading.at.millis() + behind), ..reading.clone() },
    });
    settled.collect()
}

/// Says how far a session is, unless that was said within the last second.
async fn show(tx: &mut Tx, session: Uuid, readings: &[Reading]) -> Result<(), DbError> {
    let now = At::now();
    let shown = on!(tx, |c| {
        let query = sqlx::query(SHOW).bind(session).bind(now).bind(now.minus(SHOWN_EVERY));
        query.execute(c).await.map(|done| done.rows_affected())
    })?;
    if shown == 0 {
        return Ok(());
    }
    let Some(session) = super::find(tx, session).await? else { return Ok(()) };
    let energy_wh = energy::until(session.meter_start, session.last_meter);
    let more = json!({
        "session_id": session.id,
        "evse_id": session.evse_id,
        "connector_number": session.connector_number,
        "state": session.state,
        "energy_wh": energy_wh,
        "power_w": power(readings),
    });
    let (station_id, location_id) = (Some(session.station_id), session.location_id);
    events::write(tx, &Happened { routing_key: "session.updated", station_id, location_id, more }).await
}

/// The power of the newest reading in watts: that of all phases, else the sum of the phases.
fn power(readings: &[Reading]) -> Option<i64> {
    let is_power = |reading: &&Reading| {
        reading.measurand == POWER && reading.location == "Outlet" && reading.value.is_some()
    };
    let newest = readings.iter().filter(is_power).map(|reading| reading.at).max()?;
    let of_moment = || readings.iter().filter(is_power).filter(|reading| reading.at == newest);
    let all_phases = of_moment().find(|reading| reading.phase.is_empty());
    all_phases.map_or_else(|| of_moment().map(|reading| reading.value).sum(), |reading| reading.value)
}

/// The readings of a session after this moment, oldest first.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn of_session(tx: &mut Tx, session: Uuid, after: At, limit: i64) -> Result<Vec<Reading>, DbError> {
    Ok(on!(tx, |c| sqlx::query_as(OF_SESSION).bind(session).bind(after).bind(limit).fetch_all(c).await)?)
}

impl Reading {
    /// Whether it is of the register that is billed, of all phases, where the vehicle is connected.
    fn is_register(&self) -> bool {
        self.measurand == REGISTER
            && self.phase.is_empty()
            && self.location == "Outlet"
            && self.value.is_some()
    }
}
