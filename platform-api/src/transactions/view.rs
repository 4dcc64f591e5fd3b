//! A transaction as it is shown.

use charging::At;
use charging::sessions::{Anomaly, Session, SessionState};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// A transaction
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Transaction)]
pub(crate) struct TransactionView {
    /// Its id, also of the session
    id: Uuid,
    /// OCPP's `transactionId`
    ocpp_transaction_id: i64,
    /// The charger, by the name that it had
    charger: String,
    station_id: Uuid,
    #[schema(required)]
    location_id: Option<Uuid>,
    #[schema(required)]
    evse_id: Option<Uuid>,
    /// OCPP's `connectorId`
    #[schema(required)]
    connector: Option<i64>,
    state: SessionState,
    /// The id tag, as it was sent
    #[schema(required)]
    id_tag: Option<String>,
    #[schema(required)]
    token_id: Option<Uuid>,
    /// When it began, by the charger's clock
    #[schema(required)]
    started_at: Option<At>,
    /// When it ended, by the charger's clock
    #[schema(required)]
    stopped_at: Option<At>,
    /// Why it ended, as the charger says
    #[schema(required)]
    stop_reason: Option<String>,
    /// The id tag that ended it
    #[schema(required)]
    stop_id_tag: Option<String>,
    /// The register at the start, in Wh
    #[schema(required)]
    meter_start: Option<i64>,
    /// The register at the end, in Wh
    #[schema(required)]
    meter_stop: Option<i64>,
    /// The newest reading of the register, in Wh
    #[schema(required)]
    last_meter: Option<i64>,
    #[schema(required)]
    last_meter_at: Option<At>,
    /// The energy in Wh; null if it is not known
    #[schema(required)]
    energy_wh: Option<i64>,
    /// What the charger was answered; null while it is decided
    #[schema(required)]
    answer: Option<String>,
    /// The reservation that it used up, by OCPP's number
    #[schema(required)]
    reservation_number: Option<i64>,
    /// What is doubtful about it
    anomalies: Vec<Anomaly>,
    /// When its start arrived
    #[schema(required)]
    start_received_at: Option<At>,
    /// When its end arrived
    #[schema(required)]
    stop_received_at: Option<At>,
}

impl From<Session> for TransactionView {
    fn from(session: Session) -> Self {
        Self {
            id: session.id,
            ocpp_transaction_id: session.number,
            charger: session.charger,
            station_id: session.station_id,
            location_id: session.location_id,
            evse_id: session.evse_id,
            connector: session.connector_number,
            state: session.state,
            id_tag: session.id_tag,
            token_id: session.token_id,
            started_at: session.started_at,
            stopped_at: session.ended_at,
            stop_reason: session.stop_reason,
            stop_id_tag: session.stop_id_tag,
            meter_start: session.meter_start,
            meter_stop: session.meter_stop,
            last_meter: session.last_meter,
            last_meter_at: session.last_meter_at,
            energy_wh: session.energy_wh,
            answer: session.answer,
            reservation_number: session.reservation_number,
            anomalies: session.anomalies.0,
            start_received_at: session.start_received_at,
            stop_received_at: session.end_received_at,
        }
    }
}
