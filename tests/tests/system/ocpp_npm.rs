//! Clients of others, from npm: a charger that judges each of our frames by the standard's schemas and whose connection
//! breaks, and a tool that tests servers.

use std::fs;
use std::time::Duration;

use charging::chargers::commands::CommandState;
use charging::sessions::SessionState;
use serde_json::{Value, json};
use tests::eventually;
use tests::node::Node;

use super::ocpp::{Gateway, TAG};

/// npm `ocpp-rpc` 2.2.1 in strict mode.
const CHARGER: &str = include_str!("../../clients/ocpp_charger.js");
/// npm `ocpp-ws-cli` 1.1.12. Its exit code is 0 also if checks fail.
const CLI: &str = "ocpp-ws-cli/dist/index.js";
const LIMIT: Duration = Duration::from_secs(30);

/// What `ocpp-ws-cli` wants and the contract has otherwise.
const OTHERWISE: &[(&str, &str)] = &[
    (
        "Server rejects oversized frames (>128KB)",
        "a day's transactionData has 700 kB: frames of 1 MiB are taken",
    ),
    (
        "Server rejects missing payload in CALL",
        "it wants `FormatViolation`, which is OCPP 2.0.1's word: elements that are missing are a `FormationViolation` in 1.6",
    ),
];

#[tokio::test]
async fn npm_ocpp_rpc_repeats_what_was_lost_with_its_connection_and_nothing_is_stored_twice() {
    let gateway = Gateway::start(&[]).await;
    let station = gateway.station("CP-1").await;
    gateway.admitted_tag(station).await;
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let mut charger = Node::start(CHARGER, &[&gateway.url, "CP-1", TAG], &log).await;
    let said = || fs::read_to_string(&log).unwrap();
    eventually("the first session to end", async || {
        let first = gateway.sessions().await.into_iter().next()?;
        (first.state == SessionState::Completed).then_some(())
    })
    .await;
    let trigger = json!({"requestedMessage": "Heartbeat"});
    let trigger = gateway.command(station, "TriggerMessage", trigger, LIMIT).await;
    // The charger has no handler for it, and answers with an error.
    let unlock = gateway.command(station, "UnlockConnector", json!({"connectorId": 1}), LIMIT).await;
    let payload = json!({"connectorId": 2, "idTag": TAG});
    let start = gateway.command(station, "RemoteStartTransaction", payload, LIMIT).await;
    gateway.command_is(trigger, CommandState::Answered).await;
    gateway.command_is(unlock, CommandState::Error).await;
    gateway.command_is(start, CommandState::Answered).await;
    let number = eventually("the session of the remote start", async || {
        let second = gateway.sessions().await.into_iter().nth(1)?;
        (second.answer.as_deref() == Some("Accepted")).then_some(second.number)
    })
    .await;
    let payload = json!({"transactionId": number});
    let stop = gateway.command(station, "RemoteStopTransaction", payload, LIMIT).await;
    assert!(charger.ended_well().await, "{}", said());
    gateway.command_is(stop, CommandState::Answered).await;
    let sessions = gateway.sessions().await;
    let ends: Vec<_> = sessions.iter().map(|session| (session.state, session.energy_wh)).collect();
    let completed = SessionState::Completed;
    assert_eq!(ends, [(completed, Some(7_000)), (completed, Some(500))], "{sessions:?}");
    assert!(sessions.iter().all(|session| session.anomalies.is_empty()), "{sessions:?}");
    gateway.online_is(station, false).await;
    let charger = gateway.charger(station).await;
    assert_eq!((charger.epoch, charger.leniencies.0), (4, [].into()));
    assert_eq!(charger.disconnect_reason.as_deref(), Some("closed"));
}

#[tokio::test]
async fn npm_ocpp_ws_cli_finds_nothing_but_what_the_contract_has_otherwise() {
    let gateway = Gateway::start(&[]).await;
    gateway.station("CP-1").await;
    let directory = tempfile::tempdir().unwrap();
    let (log, reports) = (directory.path().join("log"), directory.path().join("reports"));
    let endpoint = format!("{}/ocpp", gateway.url);
    let mut arguments = vec!["test", "--endpoint", &endpoint, "--identity", "CP-1", "--protocol", "ocpp1.6"];
    arguments.extend(["--suite", "all", "--report", "json", "--report-dir", reports.to_str().unwrap()]);
    let mut tool = Node::start_package(CLI, &arguments, &log).await;
    assert!(tool.ended_well().await, "{}", fs::read_to_string(&log).unwrap());
    let report = fs::read_dir(reports).unwrap().next().unwrap().unwrap().path();
    let report: Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    let checks = report["testResults"].as_array().unwrap();
    let failed: Vec<_> = checks.iter().filter(|check| check["passed"] != true).collect();
    let names: Vec<_> = failed.iter().map(|check| check["name"].as_str().unwrap()).collect();
    let expected: Vec<_> = OTHERWISE.iter().map(|(name, _)| *name).collect();
    assert_eq!((checks.len(), names), (21, expected), "{failed:#?}");
    // What the checks take for a pass is a connection that ended in any way; the gateway serves on.
    gateway.connect("CP-1").await.is_alive().await;
}
