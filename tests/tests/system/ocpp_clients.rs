//! Clients of others: whole sessions of PyPI `ocpp`, whose schemas judge each of our answers.

use charging::chargers::commands::CommandState;
use charging::sessions::SessionState;
use serde_json::json;
use tests::python::Python;

use super::ocpp::{Gateway, TAG};

/// PyPI `ocpp` 2.1.0 as a charger. It validates what it sends and what it gets, so its payloads are those of the standard.
const CHARGER: &str = include_str!("../../clients/ocpp_charger.py");

#[tokio::test]
async fn pypi_ocpp_runs_a_whole_session_and_answers_commands() {
    let gateway = Gateway::start(&[]).await;
    let station = gateway.station("CP-1").await;
    gateway.admitted_tag(station).await;
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let arguments = [gateway.url.as_str(), "CP-1", TAG];
    let mut python = Python::start(&gateway.deployment.servers.python, CHARGER, &arguments, &log);
    gateway.online_is(station, true).await;
    let limit = std::time::Duration::from_secs(30);
    let mut ids = Vec::new();
    for (action, payload) in [
        ("TriggerMessage", json!({"requestedMessage": "Heartbeat"})),
        ("GetConfiguration", json!({"key": ["HeartbeatInterval"]})),
        // The charger has no handler for it, and answers with an error.
        ("UnlockConnector", json!({"connectorId": 1})),
        // The last one: the charger ends.
        ("Reset", json!({"type": "Soft"})),
    ] {
        ids.push((action, gateway.command(station, action, payload, limit).await));
    }
    let ended_well = python.ended_well().await;
    assert!(ended_well, "{}", std::fs::read_to_string(log).unwrap());
    for (action, id) in ids {
        let state = if action == "UnlockConnector" { CommandState::Error } else { CommandState::Answered };
        gateway.command_is(id, state).await;
    }
    let sessions = gateway.sessions().await;
    assert_eq!(sessions.len(), 1, "{sessions:?}");
    assert_eq!((sessions[0].state, sessions[0].energy_wh), (SessionState::Completed, Some(7_000)));
    // Its own messages are those of the standard.
    gateway.online_is(station, false).await;
    assert_eq!(gateway.charger(station).await.leniencies.0, [].into());
}
