//! Transactions over connections: a start is one session whichever way it comes again, and last week comes in one go.

use charging::sessions::SessionState;
use serde_json::{Value, json};

use super::ocpp::{Gateway, Socket, TAG, start, stop};

#[tokio::test]
async fn a_start_and_its_stop_are_the_same_over_connections_and_nodes() {
    let gateway = Gateway::start(&[]).await;
    gateway.tag("always").await;
    let (_second, second_url) = gateway.deployment.start_gateway().await;
    let (_, mut socket) = gateway.booted("CP-1").await;
    let first = socket.call("StartTransaction", start("2026-11-01T10:00:00Z")).await;
    assert_eq!(socket.call("StartTransaction", start("2026-11-01T10:00:00Z")).await, first);
    let mut elsewhere = Socket::open(&second_url, "CP-1").await;
    let mut lower = start("2026-11-01T11:00:00+01:00");
    lower["idTag"] = json!(TAG.to_lowercase());
    assert_eq!(elsewhere.call("StartTransaction", lower).await, first);
    let number = &first["transactionId"];
    assert_eq!(elsewhere.call("StopTransaction", stop(number, "2026-11-01T12:00:00Z")).await, json!({}));
    let mut here = gateway.connect("CP-1").await;
    assert_eq!(here.call("StopTransaction", stop(number, "2026-11-01T12:00:00Z")).await, json!({}));
    assert_eq!(here.call("StartTransaction", start("2026-11-01T10:00:00Z")).await, first);
    let sessions = gateway.sessions().await;
    assert_eq!(sessions.len(), 1, "{sessions:?}");
    assert_eq!((sessions[0].state, sessions[0].energy_wh), (SessionState::Completed, Some(7_000)));
}

#[tokio::test]
async fn last_week_comes_in_one_go_without_waiting_for_answers() {
    let gateway = Gateway::start(&[]).await;
    gateway.tag("always").await;
    let (_, mut socket) = gateway.booted("CP-1").await;
    // Offline, the charger makes numbers of its own; the stop after each start then fits that start.
    let mut sent = Vec::new();
    for day in 1..=7 {
        sent.push(socket.ask("StartTransaction", &start(&format!("2026-11-0{day}T10:00:00Z"))).await);
        let value =
            json!({"timestamp": format!("2026-11-0{day}T10:30:00Z"), "sampledValue": [{"value": "5000"}]});
        sent.push(socket.ask("MeterValues", &json!({"connectorId": 1, "meterValue": [value]})).await);
        let end = stop(&json!(-1), &format!("2026-11-0{day}T11:00:00Z"));
        sent.push(socket.ask("StopTransaction", &end).await);
    }
    let mut answered: Vec<String> = Vec::new();
    for _ in &sent {
        let answer: Value = socket.frame().await;
        assert_eq!(answer[0], 3, "{answer}");
        answered.push(answer[1].as_str().unwrap().to_owned());
    }
    answered.sort_unstable();
    sent.sort_unstable();
    assert_eq!(answered, sent);
    let sessions = gateway.sessions().await;
    assert_eq!(sessions.len(), 7, "{sessions:?}");
    for (session, day) in sessions.iter().zip(1..) {
        assert_eq!((session.state, session.energy_wh), (SessionState::Completed, Some(7_000)), "{session:?}");
        assert!(session.start_received_at > session.ended_at, "{session:?}");
        let began: Value = serde_json::to_value(session.started_at).unwrap();
        assert!(began.as_str().unwrap().starts_with(&format!("2026-11-0{day}T10:00")), "{began}");
    }
}

#[tokio::test]
async fn what_was_read_is_carried_out_also_when_the_charger_closes_at_once() {
    let gateway = Gateway::start(&[]).await;
    gateway.tag("always").await;
    let (station, mut socket) = gateway.booted("CP-1").await;
    let number = socket.call("StartTransaction", start("2026-11-01T10:00:00Z")).await["transactionId"].take();
    // A hard reset (TC_013).
    socket.ask("StopTransaction", &stop(&number, "2026-11-01T11:00:00Z")).await;
    drop(socket);
    gateway.online_is(station, false).await;
    assert_eq!(gateway.charger(station).await.disconnect_reason.as_deref(), Some("lost"));
    let sessions = gateway.sessions().await;
    assert_eq!((sessions[0].state, sessions[0].energy_wh), (SessionState::Completed, Some(7_000)));
}
