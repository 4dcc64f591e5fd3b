use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::Leniency;
use crate::v16::metering::{ENERGY, Value as Measured};
use crate::v16::words::{Context, Phase};

fn read(action: &str, payload: &Value) -> Result<(Request, Vec<Leniency>), Refusal> {
    let (request, leniencies) = Request::read(action, payload.as_object().unwrap().clone(), 0)?;
    Ok((request, leniencies.iter().collect()))
}

fn refused(action: &str, payload: &Value) -> ErrorCode {
    read(action, payload).unwrap_err().code
}

fn tag(text: &str) -> IdTag {
    IdTag::new(text).unwrap()
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text, 0, &mut Leniencies::default()).unwrap()
}

#[test]
fn a_boot_is_taken_as_chargers_send_it() {
    let (request, leniencies) = read(
        "BootNotification",
        &json!({"chargePointVendor": "", "chargePointModel": "M", "chargePointSerialNumber": "x".repeat(34), "imsi": null,
            "firmwareVersion": 7, "vendorMember": 1}),
    )
    .unwrap();
    let Request::BootNotification(boot) = request else { panic!("{request:?}") };
    assert_eq!((boot.vendor, boot.model.as_deref(), boot.firmware.as_deref()), (None, Some("M"), Some("7")));
    assert_eq!(boot.charge_point_serial.unwrap().len(), 34);
    use Leniency::{EmptyText, LongText, Null, TextAsNumber, UnknownMember};
    assert_eq!(leniencies, [TextAsNumber, LongText, EmptyText, Null, UnknownMember]);
}

#[test]
fn what_cannot_be_understood_is_refused_with_the_code_of_its_kind() {
    use ErrorCode::{
        NotImplemented, NotSupported, OccurenceConstraintViolation, PropertyConstraintViolation,
        TypeConstraintViolation,
    };
    for (action, payload, code) in [
        ("Authorize", json!({}), OccurenceConstraintViolation),
        ("Authorize", json!({"idTag": "x".repeat(21)}), PropertyConstraintViolation),
        ("Authorize", json!({"idTag": ["x"]}), TypeConstraintViolation),
        ("MeterValues", json!({"connectorId": "one"}), TypeConstraintViolation),
        ("MeterValues", json!({"connectorId": -1}), PropertyConstraintViolation),
        ("MeterValues", json!({"connectorId": 257}), PropertyConstraintViolation),
        (
            "MeterValues",
            json!({"connectorId": 1, "meterValue": [{"sampledValue": []}]}),
            OccurenceConstraintViolation,
        ),
        ("MeterValues", json!({"connectorId": 1, "meterValue": 7}), TypeConstraintViolation),
        ("StatusNotification", json!({"connectorId": 1, "status": "Dancing"}), PropertyConstraintViolation),
        (
            "StatusNotification",
            json!({"connectorId": 2_147_483_648_u64, "status": "Available"}),
            PropertyConstraintViolation,
        ),
        ("Reset", json!({}), NotSupported),
        ("BootNotificatoin", json!({}), NotImplemented),
    ] {
        assert_eq!(refused(action, &payload), code, "{action} {payload}");
    }
}

#[test]
fn a_refusal_names_the_member_and_never_its_value() {
    let refusal = read("Authorize", &json!({"idTag": "04A2B3C4D5E6F708192A3B4C"})).unwrap_err();
    assert_eq!(refusal.description, "idTag: longer than 20 characters");
    let inner = json!({"connectorId": 1, "meterValue": [{"timestamp": "2027-01-01T00:00:00Z", "sampledValue": [{}]}]});
    assert_eq!(
        read("MeterValues", &inner).unwrap_err().description,
        "meterValue.0.sampledValue.0.value is missing"
    );
}

#[test]
fn a_start_is_never_refused() {
    let whole = json!({"connectorId": 1, "idTag": "04A2", "meterStart": 17, "timestamp": "2027-01-01T00:00:00Z",
        "reservationId": 0});
    let (request, leniencies) = read("StartTransaction", &whole).unwrap();
    let expected = Start {
        connector: Some(1),
        id_tag: Some(tag("04a2")),
        meter_start: Some(17),
        at: Some(at("2027-01-01T00:00:00Z")),
        ..Start::default()
    };
    assert_eq!((request, leniencies), (Request::StartTransaction(expected), vec![Leniency::NoId]));
    let (request, _) =
        read("StartTransaction", &json!({"idTag": "x".repeat(30), "meterStart": {}, "timestamp": "?"}))
            .unwrap();
    let Request::StartTransaction(start) = request else { panic!("{request:?}") };
    assert_eq!((start.connector, start.id_tag, start.meter_start, start.at), (None, None, None, None));
    let codes: Vec<ErrorCode> = start.faults.iter().map(|fault| fault.code).collect();
    use ErrorCode::{OccurenceConstraintViolation, PropertyConstraintViolation, TypeConstraintViolation};
    assert_eq!(
        codes,
        [
            OccurenceConstraintViolation,
            PropertyConstraintViolation,
            TypeConstraintViolation,
            PropertyConstraintViolation
        ]
    );
}

#[test]
fn a_stop_keeps_ids_that_we_never_gave_and_reasons_that_no_standard_has() {
    let (request, leniencies) = read(
        "StopTransaction",
        &json!({"transactionId": -1, "meterStop": "1200", "timestamp": "2027-01-01 01:00:00", "reason": "CarOnFire",
            "transactionData": {"timestamp": "2027-01-01T00:30:00Z", "sampledValue": {"value": "0.6", "unit": "kwh"}}}),
    )
    .unwrap();
    let Request::StopTransaction(stop) = request else { panic!("{request:?}") };
    assert_eq!(
        (stop.transaction_id, stop.meter_stop, stop.at),
        (Some(-1), Some(1200), Some(at("2027-01-01T01:00:00Z")))
    );
    assert_eq!((stop.reason, stop.other_reason.as_deref()), (Some(StopReason::Other), Some("CarOnFire")));
    assert_eq!(stop.readings[0].readings[0].value, Measured::Number { value: 600, unit: "Wh".to_owned() });
    assert!(stop.faults.is_empty());
    use Leniency::{NumberAsText, ObjectAsList, TimestampForm, TimestampWithoutOffset, UnknownWord};
    assert_eq!(leniencies, [TimestampWithoutOffset, TimestampForm, NumberAsText, ObjectAsList, UnknownWord]);
}

#[test]
fn readings_have_the_defaults_of_the_standard_and_integers() {
    let values = json!({"connectorId": 2, "transactionId": 0, "meterValue": [{"timestamp": "2027-01-01T00:00:00Z",
    "sampledValue": [
        {"value": "1234.5"},
        {"value": 16.15, "measurand": "Current.Import\n", "unit": "A", "phase": "L1"},
        {"value": "55", "measurand": "SoC", "unit": "Percent", "location": "EV", "context": "Transaction.End"},
        {"value": "21.4", "measurand": "Temperature", "unit": "Celcius"},
        {"value": "7", "measurand": "Vendor.Thing", "unit": "furlong"},
        {"value": "AAAA", "format": "SignedData"},
        {"value": "NaN"},
    ]}]});
    let (request, _) = read("MeterValues", &values).unwrap();
    let Request::MeterValues(Metering { connector: 2, transaction_id: None, values }) = request else {
        panic!("{request:?}")
    };
    let number = |value, unit: &str| Measured::Number { value, unit: unit.to_owned() };
    let readings = &values[0].readings;
    let shown: Vec<(&str, Measured)> =
        readings.iter().map(|reading| (reading.measurand.as_str(), reading.value.clone())).collect();
    assert_eq!(
        shown,
        [
            (ENERGY, number(1235, "Wh")),
            ("Current.Import", number(16_150, "mA")),
            ("SoC", number(550, "‰")),
            ("Temperature", number(21, "Celsius")),
            ("Vendor.Thing", number(7, "furlong")),
            (ENERGY, Measured::Signed("AAAA".to_owned())),
            (ENERGY, Measured::Text("NaN".to_owned())),
        ]
    );
    assert_eq!((readings[1].phase, readings[2].context), (Some(Phase::L1), Context::TransactionEnd));
    assert_eq!((readings[0].context, readings[0].location.as_str()), (Context::SamplePeriodic, "Outlet"));
}

#[test]
fn no_error_is_none_and_an_unknown_one_is_kept() {
    for (code, expected) in
        [("NoError", None), ("GroundFailure", Some("GroundFailure")), ("E42", Some("E42"))]
    {
        let payload = json!({"connectorId": 0, "status": "available", "errorCode": code});
        let (request, leniencies) = read("StatusNotification", &payload).unwrap();
        let Request::StatusNotification(status) = request else { panic!("{request:?}") };
        assert_eq!(status.error_code.as_deref(), expected);
        assert_eq!((status.status, leniencies), (ChargePointStatus::Available, vec![Leniency::UnknownWord]));
    }
}

#[test]
fn data_of_vendors_is_carried_as_a_text() {
    let payload = json!({"vendorId": "v", "data": {"associatedEVSE": 1}});
    let (request, _) = read("DataTransfer", &payload).unwrap();
    let Request::DataTransfer(data) = request else { panic!("{request:?}") };
    assert_eq!(data.data.as_deref(), Some(r#"{"associatedEVSE":1}"#));
}

proptest! {
    #[test]
    fn no_payload_makes_it_panic_and_none_refuses_a_start_or_a_stop(
        action in prop::sample::select(vec!["BootNotification", "Authorize", "StartTransaction", "StopTransaction",
            "MeterValues", "StatusNotification", "DataTransfer", "SecurityEventNotification"]),
        name in prop::sample::select(vec!["idTag", "connectorId", "timestamp", "meterStart", "transactionId",
            "meterValue", "transactionData", "status", "reason", "vendorId"]),
        value in prop_oneof![Just(json!(null)), any::<i64>().prop_map(|n| json!(n)), "\\PC{0,30}".prop_map(|t| json!(t)),
            Just(json!([])), Just(json!([{"timestamp": 1, "sampledValue": [1]}])), Just(json!({"a": {}}))],
    ) {
        let payload = json!({ name: value }).as_object().unwrap().clone();
        let read = Request::read(action, payload, 0);
        prop_assert!(read.is_ok() || !["StartTransaction", "StopTransaction"].contains(&action));
    }
}
