//! `voltgate seed`, beside the process that owns the database.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tests::process::{Process, program};
use tests::servers::reqwest_client;
use tests::{eventually, free_port};
use tokio::process::Command;

/// `voltgate up` in this directory, and the address of platform-api.
async fn up(data: &str) -> (Process, String) {
    let port = free_port();
    let ports = [
        ("PUBLIC_API_PORT", 0),
        ("AUTHORIZATION_SERVICE_PORT", 0),
        ("PLATFORM_API_PORT", port),
        ("OCPP_PORT", 0),
    ];
    let environment = ports.map(|(name, port)| (name.to_owned(), port.to_string())).into();
    let process = Process::start("voltgate", &["up", "--data", data], &environment);
    let url = format!("http://127.0.0.1:{port}");
    let http = reqwest_client();
    eventually("platform-api to be ready", async || {
        let ready = http.get(format!("{url}/readyz")).send().await.ok()?;
        ready.status().is_success().then_some(())
    })
    .await;
    (process, url)
}

async fn seed(data: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let arguments = [&["seed", "--data", data], arguments].concat();
    Process::run("voltgate", &arguments, &BTreeMap::new()).await
}

fn data(directory: &Path) -> String {
    directory.join("data").display().to_string()
}

/// The items of all pages.
async fn all(url: &str, list: &str, parameters: &str) -> Vec<Value> {
    let (http, mut items, mut cursor) = (reqwest_client(), Vec::new(), String::new());
    loop {
        let page = format!("{url}/api/v1/{list}?{parameters}&cursor={cursor}");
        let page: Value = http.get(page).send().await.unwrap().json().await.unwrap();
        items.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["cursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => return items,
        }
    }
}

/// How many stations each location has.
async fn at_locations(url: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for station in all(url, "stations", "limit=500").await {
        *counts.entry(station["location_id"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn a_seeded_network_is_found_and_a_second_run_adds_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let data = data(directory.path());
    let (process, url) = up(&data).await;
    let (code, out, err) = seed(&data, &["--stations", "200", "--json"]).await;
    assert_eq!(code, Some(0), "{out}{err}");
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&report["stations"], &report["new_stations"]), (&json!(200), &json!(200)), "{report}");

    let locations = all(&url, "locations", "limit=7").await;
    assert_eq!(report["locations"], locations.len());
    assert_eq!(all(&url, "stations", "limit=50").await.len(), 200);
    let city = locations[0]["city"].as_str().unwrap();
    let found = all(&url, "locations", &format!("q={city}")).await;
    assert!(found.iter().any(|location| location["id"] == locations[0]["id"]), "{city}: {found:?}");
    let place = &locations[0]["coordinates"];
    let near =
        format!("near={},{}", place["latitude"].as_str().unwrap(), place["longitude"].as_str().unwrap());
    assert_eq!(all(&url, "locations", &near).await[0]["id"], locations[0]["id"]);
    let available = all(&url, "locations", "available=true").await.len();
    assert!(available > locations.len() / 3 && available < locations.len(), "{available}");

    let (code, out, err) = seed(&data, &["--stations", "200"]).await;
    let nothing = format!("200 stations, 0 new; {} locations, 0 new", locations.len());
    assert_eq!((code, out.as_str()), (Some(0), nothing.as_str()), "{err}");
    let (code, out, _) = seed(&data, &["--stations", "210"]).await;
    assert!(code == Some(0) && out.starts_with("210 stations, 10 new"), "{out}");
    let (code, _, err) = seed(&data, &["--stations", "200", "--random-seed", "2"]).await;
    assert!(code == Some(65) && err.contains("--random-seed"), "{err}");
    assert_eq!(process.stop().await, Some(0));
}

#[tokio::test]
async fn an_interrupted_seed_leaves_whole_locations() {
    const STATIONS: &str = "1500";
    let directory = tempfile::tempdir().unwrap();
    let data = data(directory.path());
    let (process, url) = up(&data).await;
    let mut command = Command::new(program("voltgate"));
    command.args(["seed", "--stations", STATIONS, "--data", &data]).env_clear().kill_on_drop(true);
    let running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let http = reqwest_client();
    eventually("the first locations", async || {
        let page: Value =
            http.get(format!("{url}/api/v1/locations?limit=20")).send().await.ok()?.json().await.ok()?;
        (page["items"].as_array()?.len() >= 20).then_some(())
    })
    .await;
    kill(Pid::from_raw(i32::try_from(running.id().unwrap()).unwrap()), Signal::SIGINT).unwrap();
    let output = running.wait_with_output().await.unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{err}");
    assert!(err.contains("every location that was written is whole"), "{err}");

    let before = at_locations(&url).await;
    let (code, out, err) = seed(&data, &["--stations", STATIONS]).await;
    assert!(code == Some(0) && out.starts_with("1500 stations, "), "{out}{err}");
    let after = at_locations(&url).await;
    assert_eq!(after.values().sum::<usize>(), 1500);
    assert!(before.len() < after.len());
    for (location, stations) in before {
        assert_eq!(after[&location], stations, "{location}");
    }
    assert_eq!(process.stop().await, Some(0));
}

#[tokio::test]
async fn a_directory_without_a_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let data = data(directory.path());
    for contains in ["does not exist", "contains no platform.db"] {
        let (code, out, err) = seed(&data, &["--stations", "1"]).await;
        assert_eq!((code, out.as_str()), (Some(64), ""), "{err}");
        assert!(err.contains(contains) && err.contains("--data"), "{err}");
        std::fs::create_dir_all(&data).unwrap();
    }
    let arguments = ["seed", "--stations", "1"];
    let environment = [("HOME".to_owned(), "/".to_owned())].into();
    let (code, _, err) = Process::run("voltgate", &arguments, &environment).await;
    assert!(code == Some(64) && err.contains("DATABASE_URL"), "{err}");
}
