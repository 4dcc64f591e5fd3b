//! Everything in one process, without servers.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;
use tests::callback_host::CallbackHost;
use tests::deployment::{DRIVER, STATION, ask, record_once};
use tests::process::Process;
use tests::servers::reqwest_client;
use tests::{eventually, free_port};

/// Starts `voltgate up` in this directory, with this port for public-api, so that it stays the same after a crash.
pub(super) async fn up(directory: &Path, port: u16) -> Process {
    let environment: BTreeMap<String, String> = [
        ("PUBLIC_API_PORT", port.to_string()),
        ("AUTHORIZATION_SERVICE_PORT", "0".to_owned()),
        ("PLATFORM_API_PORT", "0".to_owned()),
        ("OCPP_PORT", "0".to_owned()),
        ("AUTHORIZATION_TIMEOUT_SEC", "60".to_owned()),
        ("CALLBACK_WINDOW_SEC", "120".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let data = directory.join("data").display().to_string();
    let process = Process::start("voltgate", &["up", "--data", &data], &environment);
    let http = reqwest_client();
    eventually("voltgate up to be ready", async || {
        let ready = http.get(format!("http://127.0.0.1:{port}/readyz")).send().await.ok()?;
        ready.status().is_success().then_some(())
    })
    .await;
    process
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_202_has_its_decision_and_callback_after_a_crash() {
    let directory = tempfile::tempdir().unwrap();
    let (host, http, port) = (CallbackHost::start().await, reqwest_client(), free_port());
    let api_url = format!("http://127.0.0.1:{port}");
    let process = up(directory.path(), port).await;
    let (callback_url, mut asking) = (host.url("/ok/embedded"), Vec::new());
    for _ in 0..8 {
        let (http, api_url, callback_url) = (http.clone(), api_url.clone(), callback_url.clone());
        asking.push(tokio::spawn(async move {
            let mut accepted = Vec::new();
            while let Some(request) = ask(&http, &api_url, DRIVER, &callback_url).await {
                accepted.push(request);
            }
            accepted
        }));
    }
    eventually("work to be under way", async || (host.received().len() > 300).then_some(())).await;
    process.kill().await;
    let mut accepted = Vec::new();
    for asker in asking {
        accepted.extend(asker.await.unwrap());
    }
    assert!(accepted.len() > 300);
    let _again = up(directory.path(), port).await;
    host.all_of(&accepted).await;
    for request in accepted.iter().rev().take(50) {
        let shown = record_once(&http, &api_url, request, "delivered").await;
        assert_eq!(shown["status"], "not_allowed");
    }
}

#[tokio::test]
async fn a_new_user_may_use_localhost_and_a_second_process_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (host, http, port) = (CallbackHost::start().await, reqwest_client(), free_port());
    let process = up(directory.path(), port).await;
    let api_url = format!("http://127.0.0.1:{port}");
    let by_name = host.url("/ok/localhost").replace("127.0.0.1", "localhost");
    let request = ask(&http, &api_url, "x", &by_name).await.unwrap();
    assert_eq!(
        host.callback("/ok/localhost").await.body,
        json!({"station_id": STATION, "driver_token": "x", "status": "invalid"})
    );
    assert_eq!(host.callback("/ok/localhost").await.id(), request);
    let data = directory.path().join("data").display().to_string();
    let mut second = Process::start("voltgate", &["up", "--data", &data], &BTreeMap::new());
    assert_eq!(second.ended().await, Some(69));
    assert!(second.log().contains("in use by another process"), "{}", second.log());
    assert_eq!(process.stop().await, Some(0));
}

#[tokio::test]
async fn the_demo_shows_all_four_decisions_and_a_charger_that_charges() {
    let output =
        tokio::process::Command::new(tests::process::program("voltgate")).arg("demo").output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    for decision in ["allowed", "not_allowed", "invalid", "unknown"] {
        assert!(text.contains(&format!("ms: {decision}\n")), "{decision} is missing in:\n{text}");
    }
    let said =
        [": BootNotification", ": Authorize", ": StartTransaction", "× MeterValues", ": StopTransaction"];
    for message in said {
        assert!(text.contains(message), "{message} is missing in:\n{text}");
    }
    let energy = text.lines().find_map(|line| line.trim().strip_prefix("on record: completed, "));
    let energy = energy.and_then(|energy| energy.strip_suffix(" kWh")?.parse::<f64>().ok());
    assert!(energy.is_some_and(|energy| energy >= 11.0), "{text}");
}
