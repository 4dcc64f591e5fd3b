//! The end of a session. A stop is never refused: one that names no session of its charger finds the start whose answer was
//! lost, or is recorded by itself.

use sqlx::types::Json;
use uuid::Uuid;

use super::{Anomaly, Session, SessionState, energy, happened, select};
use crate::db::{At, DbError, Tx, on, statements};
use crate::stations::charging_stations;

statements! {
    NAMED = select!("number = $1 AND station_id = $2");
    UNCONFIRMED = select!("station_id = $1 AND ended_at IS NULL AND state = 'active' AND NOT confirmed ORDER BY number LIMIT 3");
    /// A stop that names no session, and has ended one: it is the same stop if it says the same.
    SAME_STOP = select!("station_id = $1 AND end_received_at IS NOT NULL AND ended_at = $2 AND meter_stop = $3 \
                         ORDER BY number DESC LIMIT 1");
    SAME_ORPHAN = select!("station_id = $1 AND started_at IS NULL AND start_key = $2 LIMIT 1");
    END = "UPDATE sessions SET state = $2, ended_at = $3, end_received_at = $4, meter_stop = $5, energy_wh = $6, \
           stop_reason = $7, stop_id_tag = $8, anomalies = $9, confirmed = $10, updated_at = $4 WHERE id = $1";
    MARK = "UPDATE sessions SET anomalies = $2, updated_at = $3 WHERE id = $1";
    ORPHAN = "INSERT INTO sessions (id, station_id, charger, location_id, id_tag, id_tag_key, state, start_key, confirmed, \
              anomalies, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)";
}

/// A stop, as a charger sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// The charger's name.
    pub charger: String,
    /// The number of the session, as the charger knows it.
    pub number: Option<i64>,
    /// Who stopped it.
    pub id_tag: Option<String>,
    /// The register, in Wh.
    pub meter_stop: Option<i64>,
    /// When it ended, by the charger's clock.
    pub at: Option<At>,
    /// When it arrived.
    pub received_at: At,
    /// Why it ended.
    pub reason: Option<String>,
    /// Whether something of it could not be understood.
    pub malformed: bool,
}

/// Records a stop. Returns the session that it ended; `None` if the station is gone.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn record(tx: &mut Tx, station: Uuid, stop: &Stop) -> Result<Option<Session>, DbError> {
    let Some(location) = charging_stations::take(tx, station).await? else { return Ok(None) };
    let named: Option<Session> = match stop.number {
        Some(number) => {
            on!(tx, |c| sqlx::query_as(NAMED).bind(number).bind(station).fetch_optional(c).await)?
        }
        None => None,
    };
    let session = match named {
        Some(session) if session.end_received_at.is_some() => {
            return again(tx, session, stop).await.map(Some);
        }
        Some(session) => end(tx, session, stop, true, Vec::new()).await?,
        None => match before_or_unconfirmed(tx, station, stop).await? {
            Some(session) if session.end_received_at.is_some() => return Ok(Some(session)),
            Some(session) => end(tx, session, stop, false, vec![Anomaly::StopWithoutNumber]).await?,
            None => {
                let Some(session) = orphan(tx, station, location, stop).await? else { return Ok(None) };
                if session.end_received_at.is_some() {
                    return Ok(Some(session));
                }
                end(tx, session, stop, false, vec![Anomaly::NoStart]).await?
            }
        },
    };
    happened(tx, "session.stopped", &session).await?;
    Ok(Some(session))
}

/// A stop that was recorded changes nothing; one with other facts is marked.
async fn again(tx: &mut Tx, mut session: Session, stop: &Stop) -> Result<Session, DbError> {
    let differs = session.meter_stop != stop.meter_stop;
    if differs && !session.anomalies.contains(&Anomaly::OtherStop) {
        session.anomalies.push(Anomaly::OtherStop);
        let anomalies = Json(session.anomalies.0.clone());
        on!(tx, |c| sqlx::query(MARK)
            .bind(session.id)
            .bind(anomalies)
            .bind(At::now())
            .execute(c)
            .await
            .map(drop))?;
    }
    Ok(session)
}

/// The session that the same stop has ended before, or the one that it may mean.
async fn before_or_unconfirmed(tx: &mut Tx, station: Uuid, stop: &Stop) -> Result<Option<Session>, DbError> {
    if let (Some(at), Some(meter)) = (stop.at.filter(|at| energy::is_trusted(*at)), stop.meter_stop) {
        let same: Option<Session> = on!(tx, |c| {
            sqlx::query_as(SAME_STOP).bind(station).bind(at).bind(meter).fetch_optional(c).await
        })?;
        if same.is_some() {
            return Ok(same);
        }
    }
    unconfirmed(tx, station, stop).await
}

/// The one start of this charger whose answer may be lost, with the same tag if the stop has one.
async fn unconfirmed(tx: &mut Tx, station: Uuid, stop: &Stop) -> Result<Option<Session>, DbError> {
    let open: Vec<Session> = on!(tx, |c| sqlx::query_as(UNCONFIRMED).bind(station).fetch_all(c).await)?;
    let tag = stop.id_tag.as_ref().map(|tag| tag.to_uppercase());
    let same_tag = |session: &Session| session.id_tag.as_ref().map(|tag| tag.to_uppercase()) == tag;
    // A stop that is older than the start belongs to another one.
    let is_before = |session: &Session| {
        let moments = stop.at.zip(session.started_at);
        moments.is_some_and(|(end, start)| energy::is_trusted(end) && end < start)
    };
    let mut fitting =
        open.into_iter().filter(|session| (tag.is_none() || same_tag(session)) && !is_before(session));
    let first = fitting.next();
    Ok(first.filter(|_| fitting.next().is_none()))
}

/// The row of a stop without a start. The same stop finds the same row.
async fn orphan(
    tx: &mut Tx,
    station: Uuid,
    location: Option<Uuid>,
    stop: &Stop,
) -> Result<Option<Session>, DbError> {
    let (number, at) = (stop.number.unwrap_or_default(), stop.at.map_or(0, At::millis));
    let key = format!("stop|{number}|{at}|{}", stop.meter_stop.unwrap_or_default());
    let same: Option<Session> =
        on!(tx, |c| sqlx::query_as(SAME_ORPHAN).bind(station).bind(&key).fetch_optional(c).await)?;
    if same.is_some() {
        return Ok(same);
    }
    let id = Uuid::now_v7();
    let no_anomalies: Json<Vec<Anomaly>> = Json(Vec::new());
    on!(tx, |c| {
        let query = sqlx::query(ORPHAN).bind(id).bind(station).bind(&stop.charger).bind(location);
        let query = query.bind(&stop.id_tag).bind(stop.id_tag.as_ref().map(|tag| tag.to_uppercase()));
        let query = query.bind(SessionState::Active).bind(&key).bind(false).bind(&no_anomalies);
        query.bind(stop.received_at).execute(c).await.map(drop)
    })?;
    super::find(tx, id).await
}

async fn end(
    tx: &mut Tx,
    mut session: Session,
    stop: &Stop,
    confirmed: bool,
    more: Vec<Anomaly>,
) -> Result<Session, DbError> {
    let (energy_wh, doubt) = energy::between(session.meter_start, stop.meter_stop);
    let mut anomalies = session.anomalies.0.clone();
    // The real stop replaces what was inferred.
    anomalies.retain(|anomaly| *anomaly != Anomaly::NoStop);
    anomalies.extend(more);
    anomalies.extend(doubt);
    anomalies.extend(energy::doubts(stop.at, stop.received_at));
    anomalies.extend(stop.malformed.then_some(Anomaly::Malformed));
    let is_before = stop.at.zip(session.started_at).is_some_and(|(end, start)| end < start);
    anomalies.extend(is_before.then_some(Anomaly::StopBeforeStart));
    anomalies.sort_unstable();
    anomalies.dedup();
    session.state = SessionState::Completed;
    session.ended_at = Some(stop.at.unwrap_or(stop.received_at));
    session.end_received_at = Some(stop.received_at);
    session.meter_stop = stop.meter_stop;
    session.energy_wh = energy_wh;
    session.stop_reason.clone_from(&stop.reason);
    session.stop_id_tag = stop.id_tag.as_ref().map(|tag| tag.to_uppercase());
    session.confirmed |= confirmed;
    session.anomalies = Json(anomalies);
    session.updated_at = stop.received_at;
    on!(tx, |c| {
        let query = sqlx::query(END).bind(session.id).bind(session.state).bind(session.ended_at);
        let query = query.bind(session.end_received_at).bind(session.meter_stop).bind(session.energy_wh);
        let query = query.bind(&session.stop_reason).bind(&session.stop_id_tag).bind(&session.anomalies);
        query.bind(session.confirmed).execute(c).await.map(drop)
    })?;
    Ok(session)
}
