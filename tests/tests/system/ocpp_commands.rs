//! Commands to a charger: once on the wire, one at a time, and each with one end.

use std::time::Duration;

use charging::chargers::commands::CommandState;
use serde_json::{Value, json};

use super::ocpp::{Gateway, Socket};

const LIMIT: Duration = Duration::from_secs(30);

async fn answer(socket: &mut Socket, call: &Value, payload: Value) {
    socket.say(json!([3, call[1], payload]).to_string()).await;
}

#[tokio::test]
async fn a_command_reaches_the_charger_once_and_its_answer_is_kept() {
    let gateway = Gateway::start(&[]).await;
    let (_second, _) = gateway.deployment.start_gateway().await;
    let (station, mut socket) = gateway.booted("CP-1").await;
    let id = gateway.command(station, "Reset", json!({"type": "Soft"}), LIMIT).await;
    let next = gateway.command(station, "ClearCache", json!({}), LIMIT).await;
    let call = socket.frame().await;
    assert_eq!(call, json!([2, id, "Reset", {"type": "Soft"}]));
    // The next one waits, and the charger is served meanwhile.
    socket.is_alive().await;
    assert_eq!(socket.hear_within(Duration::from_millis(2_500)).await, None);
    answer(&mut socket, &call, json!({"status": "Rejected"})).await;
    let ended = gateway.command_is(id, CommandState::Answered).await;
    assert_eq!(ended.result.unwrap().0, json!({"status": "Rejected"}));
    let call = socket.frame().await;
    assert_eq!((&call[1], &call[2]), (&json!(next), &json!("ClearCache")));
    socket.say(json!([4, next, "OccurrenceConstraintViolation", "my secret", {}]).to_string()).await;
    let ended = gateway.command_is(next, CommandState::Error).await;
    assert!(!ended.error.unwrap().contains("secret"));
    assert_eq!(socket.hear_within(Duration::from_millis(2_500)).await, None);
}

#[tokio::test]
async fn a_command_times_out_and_a_late_answer_is_noted() {
    let gateway = Gateway::start(&[]).await;
    let (station, mut socket) = gateway.booted("CP-1").await;
    let id = gateway.command(station, "Reset", json!({"type": "Soft"}), Duration::from_secs(1)).await;
    let call = socket.frame().await;
    gateway.command_is(id, CommandState::Timeout).await;
    let next = gateway.command(station, "ClearCache", json!({}), LIMIT).await;
    let second = socket.frame().await;
    assert_eq!(second[1], json!(next));
    answer(&mut socket, &call, json!({"status": "Accepted"})).await;
    answer(&mut socket, &second, json!({"status": "Accepted"})).await;
    gateway.command_is(next, CommandState::Answered).await;
    let late = tests::eventually("the late answer", async || {
        gateway.command_is(id, CommandState::Timeout).await.late_result
    })
    .await;
    assert_eq!(late.0, json!({"status": "Accepted"}));
}

#[tokio::test]
async fn a_command_without_an_answer_at_the_end_of_the_connection_is_unknown() {
    let gateway = Gateway::start(&[]).await;
    let (station, mut socket) = gateway.booted("CP-1").await;
    let id = gateway.command(station, "Reset", json!({"type": "Hard"}), LIMIT).await;
    assert_eq!(socket.frame().await[1], json!(id));
    drop(socket);
    gateway.command_is(id, CommandState::Unknown).await;
    // It is not sent again, and one without a charger ends.
    let mut socket = gateway.connect("CP-1").await;
    let boot = json!({"chargePointVendor": "Acme", "chargePointModel": "One"});
    socket.call("BootNotification", boot).await;
    assert_eq!(socket.hear_within(Duration::from_millis(2_500)).await, None);
    drop(socket);
    gateway.online_is(station, false).await;
    let nowhere = gateway.command(station, "ClearCache", json!({}), LIMIT).await;
    gateway.command_is(nowhere, CommandState::Offline).await;
}

#[tokio::test]
async fn a_charger_may_call_before_it_answers_a_command() {
    let gateway = Gateway::start(&[]).await;
    gateway.tag("always").await;
    let (station, mut socket) = gateway.booted("CP-1").await;
    let payload = json!({"idTag": super::ocpp::TAG, "connectorId": 1});
    let id = gateway.command(station, "RemoteStartTransaction", payload, LIMIT).await;
    let call = socket.frame().await;
    let info = socket.call("Authorize", json!({"idTag": super::ocpp::TAG})).await;
    assert_eq!(info["idTagInfo"]["status"], "Accepted");
    let started = socket.call("StartTransaction", super::ocpp::start("2026-11-01T10:00:00Z")).await;
    assert_eq!(started["idTagInfo"]["status"], "Accepted");
    answer(&mut socket, &call, json!({"status": "Accepted"})).await;
    let command = gateway.command_is(id, CommandState::Answered).await;
    assert_eq!(command.session_id, Some(gateway.sessions().await[0].id));
}

#[tokio::test]
async fn a_rejected_charger_gets_no_command() {
    use charging::chargers::{ChargerTerms, Registration};
    let gateway = Gateway::start(&[]).await;
    let (station, mut socket) = gateway.booted("CP-1").await;
    let terms = ChargerTerms { registration: Registration::Rejected, ..ChargerTerms::default() };
    gateway.set_terms(station, terms).await;
    let id = gateway.command(station, "ClearCache", json!({}), LIMIT).await;
    gateway.command_is(id, CommandState::Offline).await;
    assert_eq!(socket.hear_within(Duration::from_millis(500)).await, None);
}
