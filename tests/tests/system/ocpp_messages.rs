//! Each message of a charger with its answer, what is taken leniently, and who is served before being accepted.

use charging::chargers::{ChargerTerms, Registration};
use charging::events;
use charging::stations::charging_stations;
use serde_json::{Value, json};
use tests::eventually;

use super::ocpp::{Gateway, TAG, start, stop};

#[tokio::test]
async fn each_message_of_a_charger_has_its_answer() {
    let gateway = Gateway::start(&[]).await;
    gateway.tag("always").await;
    let station = gateway.station("CP-1").await;
    let mut socket = gateway.connect("CP-1").await;
    let boot = json!({
        "chargePointVendor": "Acme", "chargePointModel": "One", "firmwareVersion": "1.2",
        "chargePointSerialNumber": "S-1", "iccid": "8949", "meterType": "M",
    });
    let booted = socket.call("BootNotification", boot).await;
    assert_eq!((&booted["status"], &booted["interval"]), (&json!("Accepted"), &json!(300)));
    let time = booted["currentTime"].as_str().unwrap();
    assert!(time.len() == "2026-11-29T03:00:00.000Z".len() && time.ends_with('Z'), "{time}");
    let known = gateway.charger(station).await;
    assert!(known.booted_at.is_some() && known.charge_point_serial.as_deref() == Some("S-1"));

    assert_eq!(socket.call("Authorize", json!({"idTag": TAG})).await["idTagInfo"]["status"], "Accepted");
    eventually("the event that a driver was answered", async || {
        gateway.db.write(async |tx| events::number(tx).await).await.unwrap();
        let all = gateway.db.read(async |tx| events::after(tx, 0, 100).await).await.unwrap();
        all.into_iter().find(|event| {
            event.routing_key == "charger.authorized" && event.data.0["answer"] == json!("Accepted")
        })
    })
    .await;
    let started = socket.call("StartTransaction", start("2026-11-01T10:00:00Z")).await;
    assert_eq!(started["idTagInfo"]["status"], "Accepted");
    let number = &started["transactionId"];
    assert!(number.as_i64().is_some_and(|number| number > 0), "{started}");
    let metering = json!({"connectorId": 1, "transactionId": number, "meterValue": [
        {"timestamp": "2026-11-01T10:30:00Z", "sampledValue": [{"value": "4.5", "unit": "kWh"}]},
    ]});
    for (action, payload, answer) in [
        ("Heartbeat", json!({}), None),
        ("MeterValues", metering, Some(json!({}))),
        (
            "StatusNotification",
            json!({"connectorId": 1, "errorCode": "NoError", "status": "Charging", "timestamp": "2026-11-01T10:00:00Z"}),
            Some(json!({})),
        ),
        ("DataTransfer", json!({"vendorId": "Acme"}), Some(json!({"status": "UnknownVendorId"}))),
        ("DiagnosticsStatusNotification", json!({"status": "Idle"}), Some(json!({}))),
        ("FirmwareStatusNotification", json!({"status": "Installed"}), Some(json!({}))),
        (
            "SecurityEventNotification",
            json!({"type": "SomethingNew", "timestamp": "2026-11-01T10:00:00Z"}),
            Some(json!({})),
        ),
        ("SignCertificate", json!({"csr": "none"}), Some(json!({"status": "Rejected"}))),
        ("LogStatusNotification", json!({"status": "Uploaded", "requestId": 1}), Some(json!({}))),
        ("SignedFirmwareStatusNotification", json!({"status": "Installed"}), Some(json!({}))),
        ("StopTransaction", stop(number, "2026-11-01T11:00:00Z"), Some(json!({}))),
    ] {
        let got = socket.call(action, payload).await;
        assert!(answer.is_none_or(|answer| answer == got), "{action}: {got}");
    }
    // `idTagInfo` only for a stop with a tag; and the same stop again.
    let mut with_tag = stop(number, "2026-11-01T11:00:00Z");
    with_tag["idTag"] = json!(TAG);
    assert_eq!(socket.call("StopTransaction", with_tag).await["idTagInfo"]["status"], "Accepted");
    let session = &gateway.sessions().await[0];
    assert_eq!((session.energy_wh, session.last_meter), (Some(7_000), Some(4_500)));
    let status = eventually("the status of the connector", async || {
        let found = gateway.db.read(async |tx| charging_stations::find(tx, station).await).await.unwrap();
        format!("{:?}", found.unwrap().evses).contains("Charging").then_some(())
    });
    status.await;
}

#[tokio::test]
async fn what_real_chargers_send_is_taken() {
    let gateway = Gateway::start(&[]).await;
    gateway.tag("always").await;
    let (station, mut socket) = gateway.booted("CP-1").await;
    let value = |value: Value| json!([{"timestamp": "2026-11-01T10:30:00Z", "sampledValue": [value]}]);
    let metering = |values: Value| json!({"connectorId": 1, "transactionId": 0, "meterValue": values});
    let status = |more: Value| {
        let mut all = json!({"connectorId": 1, "errorCode": "NoError", "status": "Available"});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    for (action, payload) in [
        ("BootNotification", json!({"chargePointVendor": "", "chargePointModel": "One"})),
        (
            "BootNotification",
            json!({"chargePointVendor": "A", "chargePointModel": "B", "chargePointSerialNumber": "s".repeat(34), "x": 1}),
        ),
        ("BootNotification", json!({"chargePointVendor": "A", "chargePointModel": "B", "iccid": null})),
        ("StatusNotification", status(json!({"timestamp": "2026-11-01T10:00:00"}))),
        ("StatusNotification", status(json!({"timestamp": "2026-11-01T10:00:00+03"}))),
        ("StatusNotification", status(json!({"timestamp": "2026-11-01 10:00:00Z"}))),
        ("StatusNotification", status(json!({"timestamp": "2026-11-01T10:00:00.1234567Z"}))),
        ("StatusNotification", status(json!({"connectorId": "1", "errorCode": "Acme17"}))),
        ("MeterValues", metering(value(json!({"value": 12.5})))),
        (
            "MeterValues",
            metering(value(json!({"value": "21", "unit": "Celcius", "measurand": "Temperature"}))),
        ),
        ("MeterValues", metering(value(json!({"value": "50", "unit": "Hz", "measurand": "Frequency"})))),
        ("MeterValues", metering(value(json!({"value": "1", "measurand": " Voltage\n"})))),
        ("MeterValues", metering(value(json!({"value": "NaN"})))),
        ("MeterValues", metering(value(json!({"value": "x".repeat(5_000), "format": "SignedData"})))),
        ("MeterValues", metering(json!([{"timestamp": "2026-11-01T10:30:00Z", "sampledValue": []}]))),
        (
            "MeterValues",
            metering(json!({"timestamp": "2026-11-01T10:30:00Z", "sampledValue": {"value": "1"}})),
        ),
    ] {
        socket.call(action, payload).await;
    }
    let mut odd = start("2026-11-01T10:00:00");
    odd["reservationId"] = json!(0);
    odd["meterStart"] = json!("1000");
    odd["idTag"] = json!(TAG.to_lowercase());
    let number = socket.call("StartTransaction", odd).await["transactionId"].take();
    let mut end = stop(&number, "2026-11-01T11:00:00Z");
    end["reason"] = json!("Bored");
    assert_eq!(socket.call("StopTransaction", end).await, json!({}));
    // The last of members with one name.
    socket.say(r#"[2,"twice","DataTransfer",{"vendorId":{},"vendorId":"Acme"}]"#).await;
    assert_eq!(socket.frame().await[2]["status"], "UnknownVendorId");
    let session = &gateway.sessions().await[0];
    assert_eq!(session.reservation_number, None);
    assert_eq!((session.energy_wh, session.stop_reason.as_deref()), (Some(7_000), Some("Bored")));
    drop(socket);
    let seen = eventually("the leniencies to be recorded", async || {
        let all = gateway.charger(station).await.leniencies.0;
        (all.len() > 8).then_some(all)
    })
    .await;
    for kind in
        ["timestamp_without_offset", "timestamp_form", "number_as_text", "text_as_number", "empty_list"]
    {
        assert!(seen.contains_key(kind), "{kind}: {seen:?}");
    }
}

#[tokio::test]
async fn transactions_are_never_refused_whatever_is_wrong_in_them() {
    let gateway = Gateway::start(&[]).await;
    gateway.tag("always").await;
    let (_, mut socket) = gateway.booted("CP-1").await;
    for payload in [
        json!({}),
        json!({"connectorId": -4, "idTag": "x".repeat(30), "meterStart": "many", "timestamp": "never"}),
        json!({"connectorId": 1, "idTag": TAG, "meterStart": 1000}),
    ] {
        let started = socket.call("StartTransaction", payload.clone()).await;
        assert_eq!(started["idTagInfo"]["status"], "Invalid", "{payload}");
        assert!(started["transactionId"].as_i64().is_some_and(|number| number > 0), "{started}");
    }
    for payload in [json!({}), json!({"transactionId": -1, "meterStop": "x", "timestamp": 5})] {
        assert_eq!(socket.call("StopTransaction", payload).await, json!({}));
    }
}

#[tokio::test]
async fn a_charger_that_is_not_accepted_boots_and_reports_transactions_only() {
    let gateway = Gateway::start(&[]).await;
    gateway.tag("always").await;
    for (name, registration) in [("CP-1", Registration::Pending), ("CP-2", Registration::Rejected)] {
        let station = gateway.station(name).await;
        gateway.set_terms(station, ChargerTerms { registration, ..ChargerTerms::default() }).await;
        let mut socket = gateway.connect(name).await;
        let boot = json!({"chargePointVendor": "Acme", "chargePointModel": "One"});
        let booted = socket.call("BootNotification", boot).await;
        assert_eq!((&booted["status"], &booted["interval"]), (&json!(registration), &json!(60)));
        for (action, payload) in [
            ("Heartbeat", json!({})),
            ("Authorize", json!({"idTag": TAG})),
            ("StatusNotification", json!({"connectorId": 1, "errorCode": "NoError", "status": "Available"})),
            ("DataTransfer", json!({"vendorId": "Acme"})),
        ] {
            assert_eq!(socket.error(action, payload).await, "SecurityError", "{action}");
        }
        let number =
            socket.call("StartTransaction", start("2026-11-01T10:00:00Z")).await["transactionId"].take();
        let metering = json!({"connectorId": 1, "transactionId": number, "meterValue": []});
        assert_eq!(socket.call("MeterValues", metering).await, json!({}));
        assert_eq!(socket.call("StopTransaction", stop(&number, "2026-11-01T11:00:00Z")).await, json!({}));
        // Once an operator accepts it, it is asked to boot, and is served on the same connection.
        gateway.set_terms(station, ChargerTerms::default()).await;
        let asked = socket.frame().await;
        assert_eq!(
            (&asked[2], &asked[3]),
            (&json!("TriggerMessage"), &json!({"requestedMessage": "BootNotification"}))
        );
        socket.say(json!([3, asked[1], {"status": "Accepted"}]).to_string()).await;
        socket.is_alive().await;
    }
}

#[tokio::test]
async fn the_clock_of_a_charger_that_sends_local_time_is_set_right() {
    let gateway = Gateway::start(&[]).await;
    gateway.tag("always").await;
    let station = gateway.station("CP-1").await;
    let terms = ChargerTerms { clock_offset_minutes: 120, ..ChargerTerms::default() };
    gateway.set_terms(station, terms).await;
    let mut socket = gateway.connect("CP-1").await;
    for (sent, at) in [
        ("2026-11-01T10:00:00", "2026-11-01T08:00:00Z"),
        ("2026-11-01T10:30:00Z", "2026-11-01T10:30:00Z"),
        ("2026-11-01T13:00:00+01:00", "2026-11-01T12:00:00Z"),
    ] {
        let started = socket.call("StartTransaction", start(sent)).await;
        let sessions = gateway.sessions().await;
        let session = sessions.iter().find(|session| json!(session.number) == started["transactionId"]);
        assert_eq!(session.unwrap().started_at, Some(at.parse().unwrap()), "{sent}");
    }
}
