//! The start of a session. The same start is recognized by its content: chargers send it again under another message id, on
//! another connection, to another node, and after its stop.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use sqlx::types::Json;
use uuid::Uuid;

use super::{Anomaly, Session, SessionState, energy, happened, select};
use crate::chargers::commands;
use crate::db::{At, DbError, Tx, on, statements};
use crate::stations::charging_stations;
use crate::tokens;

statements! {
    SAME = select!("station_id = $1 AND start_key = $2 AND created_at >= $3 ORDER BY number DESC LIMIT 1");
    INSERT = "INSERT INTO sessions (id, station_id, charger, location_id, evse_id, connector_number, token_id, account_id, \
              id_tag, id_tag_key, state, start_key, started_at, start_received_at, meter_start, reservation_number, confirmed, \
              anomalies, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, \
              $16, $17, $18, $14, $14)";
    OPEN = select!("station_id = $1 AND connector_number = $2 AND ended_at IS NULL AND state = 'active' ORDER BY number");
    INFER = "UPDATE sessions SET state = $2, ended_at = $3, energy_wh = $4, anomalies = $5, updated_at = $6 WHERE id = $1";
}

/// How long a start with a clock that is not set is taken for the same as an equal one.
const SAME_WITHIN: Duration = Duration::from_secs(600);

/// A start, as a charger sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The charger's name.
    pub charger: String,
    /// The connector.
    pub connector: Option<i64>,
    /// The id tag, as it was sent.
    pub id_tag: Option<String>,
    /// The register, in Wh.
    pub meter_start: Option<i64>,
    /// The reservation that it uses up.
    pub reservation_number: Option<i64>,
    /// When it began, by the charger's clock.
    pub at: Option<At>,
    /// When it arrived.
    pub received_at: At,
    /// Whether something of it could not be understood.
    pub malformed: bool,
}

/// A start that is on record.
#[derive(Debug, Clone, PartialEq)]
pub enum Started {
    /// It is new.
    New(Session),
    /// It was recorded before.
    Again(Session),
    /// The station is gone.
    NoStation,
}

impl Start {
    fn key(&self) -> String {
        let tag = self.id_tag.as_deref().unwrap_or_default().to_uppercase();
        let number = |number: Option<i64>| number.map_or(String::new(), |number| number.to_string());
        let parts = [
            number(self.connector),
            number(self.at.map(At::millis)),
            number(self.meter_start),
            // Last, as it may hold anything.
            tag,
        ];
        let digest = digest(&SHA256, parts.join("|").as_bytes());
        digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Records a start, unless it is recorded. One that is still open on the same connector ends by inference.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn record(tx: &mut Tx, station: Uuid, start: &Start) -> Result<Started, DbError> {
    // The row is held until the end: the same start on two nodes at once waits here.
    let Some(location) = charging_stations::take(tx, station).await? else { return Ok(Started::NoStation) };
    let key = start.key();
    let since = match start.at.is_some_and(energy::is_trusted) {
        true => At::from_millis(0),
        false => start.received_at.minus(SAME_WITHIN),
    };
    let same: Option<Session> =
        on!(tx, |c| sqlx::query_as(SAME).bind(station).bind(&key).bind(since).fetch_optional(c).await)?;
    if let Some(same) = same {
        return Ok(Started::Again(same));
    }
    if let Some(connector) = start.connector.filter(|connector| *connector > 0) {
        end_open(tx, station, connector, start.at.unwrap_or(start.received_at)).await?;
    }
    let session = insert(tx, station, location, start, &key).await?;
    if let Some(tag) = &start.id_tag {
        commands::link_start(tx, station, session.id, &tag.to_uppercase(), start.connector).await?;
    }
    happened(tx, "session.started", &session).await?;
    Ok(Started::New(session))
}

async fn insert(
    tx: &mut Tx,
    station: Uuid,
    location: Option<Uuid>,
    start: &Start,
    key: &str,
) -> Result<Session, DbError> {
    let evse = match start.connector {
        Some(connector) => charging_stations::evse_of(tx, station, connector).await?,
        None => None,
    };
    let tag = start.id_tag.as_deref().and_then(|tag| tag.parse().ok());
    let token = match &tag {
        Some(tag) => tokens::by_id_tag(tx, tag).await?,
        None => None,
    };
    let mut anomalies: Vec<Anomaly> = energy::doubts(start.at, start.received_at).into_iter().collect();
    anomalies.extend(start.malformed.then_some(Anomaly::Malformed));
    let id = Uuid::now_v7();
    on!(tx, |c| {
        let query = sqlx::query(INSERT).bind(id).bind(station).bind(&start.charger).bind(location).bind(evse);
        let query = query.bind(start.connector).bind(token.as_ref().map(|token| token.id));
        let query = query.bind(token.as_ref().and_then(|token| token.terms.user_id));
        let query = query.bind(&start.id_tag).bind(start.id_tag.as_ref().map(|tag| tag.to_uppercase()));
        let query = query.bind(SessionState::Active).bind(key).bind(start.at).bind(start.received_at);
        let query = query.bind(start.meter_start).bind(start.reservation_number).bind(false);
        query.bind(Json(anomalies)).execute(c).await.map(drop)
    })?;
    super::find(tx, id).await?.ok_or(DbError::Defect(sqlx::Error::RowNotFound))
}

/// Ends what goes on at this connector: a vehicle charges there now, so that the earlier session is over. Its stop, if it
/// comes, replaces what is inferred here.
async fn end_open(tx: &mut Tx, station: Uuid, connector: i64, began: At) -> Result<(), DbError> {
    let open: Vec<Session> =
        on!(tx, |c| sqlx::query_as(OPEN).bind(station).bind(connector).fetch_all(c).await)?;
    for session in open {
        infer_end(tx, session, began).await?;
    }
    Ok(())
}

/// Ends a session with what is known of it; at this moment if nothing is.
pub(super) async fn infer_end(tx: &mut Tx, mut session: Session, at: At) -> Result<Session, DbError> {
    let last = session.last_meter.or(session.meter_start);
    session.energy_wh = energy::until(session.meter_start, last);
    session.state = SessionState::EndedUnconfirmed;
    session.ended_at = Some(session.last_meter_at.or(session.started_at).unwrap_or(at));
    session.anomalies.push(Anomaly::NoStop);
    on!(tx, |c| {
        let query = sqlx::query(INFER).bind(session.id).bind(session.state).bind(session.ended_at);
        let query = query.bind(session.energy_wh).bind(&session.anomalies).bind(At::now());
        query.execute(c).await.map(drop)
    })?;
    happened(tx, "session.stopped", &session).await?;
    Ok(session)
}
