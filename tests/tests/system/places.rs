//! A command works on the given queue and store, or says why not.

use std::collections::BTreeMap;

use tests::deployment::{DRIVER, STATION, record_once};
use tests::free_port;
use tests::process::Process;
use tests::servers::reqwest_client;

use super::embedded::up;

const ELSEWHERE: &str = "redis://:s3cret@127.0.0.1:1/3";
const ELSEWHERE_SHOWN: &str = "REDIS_URL=redis://:****@127.0.0.1:1/3";
const BROKER: &str = "amqp://me:s3cret@127.0.0.1:1";
const BROKER_SHOWN: &str = "BROKER_URL=amqp://me:****@127.0.0.1:1";

fn environment(values: &[(&str, &str)]) -> BTreeMap<String, String> {
    values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

const KEY: [&str; 6] = ["keys", "create", "--name", "me", "--scope", "read"];

#[tokio::test]
async fn data_that_contradicts_a_setting_ends_each_command_with_64() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data").display().to_string();
    let backup = directory.path().join("backup").display().to_string();
    std::fs::create_dir(&data).unwrap();
    for name in ["queue.db", "store.db"] {
        std::fs::write(directory.path().join("data").join(name), "").unwrap();
    }
    let toml = directory.path().join("voltgate.toml");
    std::fs::write(&toml, format!("redis_url = \"{ELSEWHERE}\"\n")).unwrap();
    let toml = toml.display().to_string();
    let redis = ("REDIS_URL", ELSEWHERE);
    let broker = ("BROKER_URL", BROKER);
    for (arguments, setting, shown) in [
        (&KEY[..], redis, ELSEWHERE_SHOWN),
        (&KEY, ("VOLTGATE_CONFIG", toml.as_str()), ELSEWHERE_SHOWN),
        (&KEY, ("REDIS_HOST", "redis.example"), "REDIS_HOST=redis.example"),
        (&KEY, ("REDIS_PORT", "6380"), "REDIS_PORT=6380"),
        (&["keys", "list"], redis, ELSEWHERE_SHOWN),
        (&["dead", "list"], broker, BROKER_SHOWN),
        (&["dead", "purge", "--all"], broker, BROKER_SHOWN),
        (&["doctor"], redis, ELSEWHERE_SHOWN),
        (&["doctor"], broker, BROKER_SHOWN),
        (&["up"], redis, ELSEWHERE_SHOWN),
        (&["up"], broker, BROKER_SHOWN),
        (&["backup", &backup], broker, BROKER_SHOWN),
    ] {
        let arguments = [arguments, &["--data", &data]].concat();
        let (code, out, err) = Process::run("voltgate", &arguments, &environment(&[setting])).await;
        assert_eq!((code, out.as_str()), (Some(64), ""), "{arguments:?} {setting:?}: {err}");
        let named = err.contains(shown) && err.contains(&format!("--data {data}")) && !err.contains("s3cret");
        assert!(named, "{arguments:?} {setting:?}: {err}");
    }
}

#[tokio::test]
async fn only_up_makes_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let (missing, empty) = (directory.path().join("missing"), directory.path().join("empty"));
    std::fs::create_dir(&empty).unwrap();
    let backup = directory.path().join("backup").display().to_string();
    for place in [&missing, &empty] {
        let data = place.display().to_string();
        let (store, queue) = (format!("embedded:{data}"), format!("embedded:{data}"));
        for (arguments, settings) in [
            (&KEY[..], &[][..]),
            (&["keys", "list"], &[]),
            (&["keys", "revoke", "0123456789abcdef"], &[]),
            (&["dead", "list"], &[]),
            (&["dead", "replay", "--all"], &[]),
            (&["backup", &backup], &[]),
            (&KEY, &[("REDIS_URL", store.as_str())]),
            (&["dead", "list"], &[("BROKER_URL", queue.as_str())]),
            (&["backup", &backup], &[("BROKER_URL", queue.as_str()), ("REDIS_URL", &store)]),
        ] {
            let named = [arguments, &["--data", &data]].concat();
            let arguments = if settings.is_empty() { &named[..] } else { arguments };
            let (code, _, err) = Process::run("voltgate", arguments, &environment(settings)).await;
            assert!(code == Some(64) && err.contains(&data), "{arguments:?} {settings:?}: {code:?} {err}");
        }
        // The doctor reports problems, and this is one.
        let (code, out, _) = Process::run("voltgate", &["doctor", "--data", &data], &environment(&[])).await;
        assert!(code == Some(1) && out.contains(&format!("there is none at embedded:{data}")), "{out}");
    }
    assert!(!missing.exists());
    assert_eq!(std::fs::read_dir(&empty).unwrap().count(), 0);
}

#[tokio::test]
async fn each_command_reports_its_queue_store_and_services() {
    let directory = tempfile::tempdir().unwrap();
    let process = up(directory.path(), free_port()).await;
    let data = directory.path().join("data").display().to_string();
    let place = format!("embedded:{data} (--data)");
    let redis = [("REDIS_URL", ELSEWHERE), ("STARTUP_TIMEOUT_SEC", "0.2")];
    let broker = [("BROKER_URL", BROKER), ("STARTUP_TIMEOUT_SEC", "0.2")];
    let api = ["--api", "http://127.0.0.1:1"];
    let ask = ["authorize", STATION, DRIVER];
    for (arguments, settings, said) in [
        (&["keys", "list", "--data", &data][..], &[][..], format!("store: {place}")),
        (&["dead", "list", "--data", &data], &[], format!("queue: {place}")),
        (&["keys", "list"], &redis, "store: redis://:****@127.0.0.1:1/3 (REDIS_URL)".to_owned()),
        (&["dead", "list"], &broker, "queue: amqp://me:****@127.0.0.1:1 (BROKER_URL)".to_owned()),
        (&[&ask[..], &api].concat(), &[], "public-api: http://127.0.0.1:1/".to_owned()),
        (&[&["log"][..], &api].concat(), &[], "public-api: http://127.0.0.1:1/".to_owned()),
        (
            &["acl", "--acl", "http://127.0.0.1:1", "check", STATION, DRIVER],
            &[],
            "acl-service: http://127.0.0.1:1/".to_owned(),
        ),
    ] {
        let arguments = [arguments, &["--verbose"]].concat();
        let (code, _, err) = Process::run("voltgate", &arguments, &environment(settings)).await;
        assert!(err.lines().any(|line| line == said), "{arguments:?}: {code:?} {said} is missing in {err}");
        assert!(!err.contains("s3cret"), "{err}");
    }
    // It says where it writes without being asked, and also where it fails.
    let create = [&KEY[..], &["--data", &data]].concat();
    let (_, _, err) = Process::run("voltgate", &create, &environment(&[])).await;
    assert!(err.contains(&format!("The store is embedded:{data}")), "{err}");
    let (code, _, err) = Process::run("voltgate", &KEY, &environment(&redis)).await;
    assert!(code == Some(69) && err.contains("redis://:****@127.0.0.1:1/3"), "{err}");
    assert_eq!(process.stop().await, Some(0));
}

#[tokio::test]
async fn an_option_that_a_command_has_no_use_for_is_refused() {
    let key = format!("vg_me_{}", "0".repeat(48));
    for arguments in [
        &["up", "--key", &key][..],
        &["keys", "list", "--key", &key],
        &["dead", "list", "--key", &key],
        &["settings", "--key", &key],
        &["authorize", STATION, DRIVER, "--wait", "0"],
        &["authorize", STATION, DRIVER, "--api", "127.0.0.1"],
        &["bench", "--rate", "0"],
        &["bench", "--duration=-1"],
        &["dead", "purge"],
        &["keys", "create", "--name", "", "--scope", "read"],
        &["nonsense"],
        &[],
    ] {
        let settings = [("BROKER_URL", "embedded:/nowhere"), ("REDIS_URL", "embedded:/nowhere")];
        let (code, out, err) = Process::run("voltgate", arguments, &environment(&settings)).await;
        assert_eq!((code, out.as_str()), (Some(64), ""), "{arguments:?}: {err}");
    }
}

#[tokio::test]
async fn voltgate_authorize_needs_only_one_delivery_attempt() {
    let directory = tempfile::tempdir().unwrap();
    let port = free_port();
    let process = up(directory.path(), port).await;
    let (http, api_url) = (reqwest_client(), format!("http://127.0.0.1:{port}"));
    for _ in 0..20 {
        let ask = ["authorize", STATION, DRIVER, "--json", "--api", &api_url];
        let (code, out, err) = Process::run("voltgate", &ask, &environment(&[])).await;
        assert_eq!(code, Some(1), "{out}{err}");
        let answer: serde_json::Value = serde_json::from_str(&out).unwrap();
        let shown = record_once(&http, &api_url, answer["request_id"].as_str().unwrap(), "delivered").await;
        assert_eq!(shown["attempts"].as_array().unwrap().len(), 1, "{shown}");
    }
    assert_eq!(process.stop().await, Some(0));
}
