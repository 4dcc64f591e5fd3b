//! `voltgate authorize`, which follows its request until the decision is called back.

use std::collections::BTreeMap;
use std::process::Stdio;

use serde_json::Value;
use tests::callback_host::CallbackHost;
use tests::deployment::{DRIVER, Deployment, STATION};
use tests::free_port;
use tests::process::{Process, program};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

async fn authorize(arguments: &[&str]) -> (Option<i32>, String, String) {
    let arguments = [&["authorize", STATION, DRIVER], arguments].concat();
    Process::run("voltgate", &arguments, &BTreeMap::new()).await
}

#[tokio::test]
async fn a_request_with_another_callback_url_is_followed_until_it_is_delivered() {
    let mut deployment = Deployment::new().await;
    let services = deployment.start().await;
    let host = CallbackHost::start().await;
    services.admit(&deployment.http, DRIVER).await;
    let delivered = ["--api", &services.api_url, "--callback-url", &host.url("/ok/here"), "--json"];
    let (code, out, err) = authorize(&delivered).await;
    assert_eq!(code, Some(0), "{out}{err}");
    let shown: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&shown["status"], &shown["delivery"]), (&"allowed".into(), &"delivered".into()), "{shown}");
    assert_eq!(host.count(), 1);

    // Nothing listens there.
    let nowhere = format!("http://127.0.0.1:{}/", free_port());
    let pending = ["--api", &services.api_url, "--callback-url", &nowhere, "--wait", "3"];
    let (code, out, err) = authorize(&pending).await;
    assert_eq!(code, Some(0), "the decision is on record: {out}{err}");
    assert!(out.contains("allowed") && out.contains("its callback is still pending"), "{out}");
    assert!(err.contains("decided: allowed") && err.contains("callback, attempt 1: "), "{err}");
    let accepted = ["--api", &services.api_url, "--callback-url", &nowhere, "--wait", "0"];
    let (code, out, _) = authorize(&accepted).await;
    assert!(code == Some(0) && out.starts_with("accepted "), "{out}");
}

#[tokio::test]
async fn a_request_that_no_worker_takes_says_so() {
    let deployment = Deployment::new().await;
    let (_api, api_url) = deployment.start_api().await;
    let (code, _, err) = authorize(&["--api", &api_url, "--wait", "2"]).await;
    assert_eq!(code, Some(70), "{err}");
    assert!(err.contains("waits for a worker") && err.contains("is one running?"), "{err}");
}

#[tokio::test]
async fn a_command_waits_for_a_service_that_is_starting() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data").display().to_string();
    let (api, acl) = (free_port().to_string(), free_port().to_string());
    let any = "0".to_owned();
    let environment: BTreeMap<String, String> = [
        ("PUBLIC_API_PORT", &api),
        ("AUTHORIZATION_SERVICE_PORT", &acl),
        ("PLATFORM_API_PORT", &any),
        ("OCPP_PORT", &any),
    ]
    .map(|(name, value)| (name.to_owned(), value.clone()))
    .into();
    // As in a block of commands that is pasted at once.
    let ask = ["authorize", STATION, DRIVER];
    let up = ["up", "--data", &data];
    let mut command = Command::new(program("voltgate"));
    command.args(ask).env_clear().envs(&environment).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut asking = command.kill_on_drop(true).spawn().unwrap();
    let mut said = BufReader::new(asking.stderr.take().unwrap()).lines();
    let line = said.next_line().await.unwrap().unwrap();
    assert_eq!(line, format!("waiting for public-api at http://127.0.0.1:{api}/"));
    let _up = Process::start("voltgate", &up, &environment);
    let output = asking.wait_with_output().await.unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.code() == Some(1) && out.contains("not_allowed"), "{out}");
}
