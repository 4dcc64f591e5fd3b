//! OCPP's readings and statuses in the words of the domain.

use charging::At;
use charging::sessions::meter_values::Reading;
use charging::stations::connectors::ConnectorStatus;
use ocpp::v16::ChargePointStatus;
use ocpp::v16::metering::{MeterValue, Value};

/// The readings of a message.
pub(crate) fn of(connector: i64, values: &[MeterValue], received_at: At) -> Vec<Reading> {
    let readings =
        values.iter().flat_map(|value| value.readings.iter().map(move |reading| (value.at, reading)));
    let reading = |(at, reading): (ocpp::Timestamp, &ocpp::v16::metering::Reading)| {
        let (value, unit, raw) = match &reading.value {
            Value::Number { value, unit } => (Some(*value), Some(unit.clone()), None),
            Value::Signed(text) | Value::Text(text) => (None, None, Some(text.clone())),
        };
        Reading {
            connector_number: connector,
            at: At::from_millis(at.millis()),
            measurand: reading.measurand.clone(),
            phase: reading.phase.map_or("", ocpp::v16::Phase::as_str).to_owned(),
            context: reading.context.as_str().to_owned(),
            location: reading.location.clone(),
            value,
            unit,
            raw,
            received_at,
        }
    };
    readings.map(reading).collect()
}

/// A status.
pub(crate) fn status(status: ChargePointStatus) -> ConnectorStatus {
    match status {
        ChargePointStatus::Available => ConnectorStatus::Available,
        ChargePointStatus::Preparing => ConnectorStatus::Preparing,
        ChargePointStatus::Charging => ConnectorStatus::Charging,
        ChargePointStatus::SuspendedEvse => ConnectorStatus::SuspendedEvse,
        ChargePointStatus::SuspendedEv => ConnectorStatus::SuspendedEv,
        ChargePointStatus::Finishing => ConnectorStatus::Finishing,
        ChargePointStatus::Reserved => ConnectorStatus::Reserved,
        ChargePointStatus::Unavailable => ConnectorStatus::Unavailable,
        ChargePointStatus::Faulted => ConnectorStatus::Faulted,
    }
}
