//! The data of `voltgate up` is complete after a stop, and can be copied while it runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use tests::callback_host::CallbackHost;
use tests::deployment::{DRIVER, ask, record_once};
use tests::process::Process;
use tests::servers::reqwest_client;
use tests::{eventually, free_port};

use super::embedded::up;

/// Pause between two requests of a client: their callbacks must all arrive within a test's time limit.
const PACE: Duration = Duration::from_millis(10);
const WHOLE: [&str; 6] = ["platform.db", "platform.lock", "queue.db", "queue.lock", "store.db", "store.lock"];

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Runs a `voltgate` command with only these settings.
async fn voltgate(arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let environment: BTreeMap<String, String> =
        environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Process::run("voltgate", arguments, &environment).await
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_files_copied_after_a_clean_stop_hold_everything() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let (host, http, port) = (CallbackHost::start().await, reqwest_client(), free_port());
    let api_url = format!("http://127.0.0.1:{port}");
    let process = up(directory.path(), port).await;
    let told = ask(&http, &api_url, DRIVER, &host.url("/ok/told")).await.unwrap();
    record_once(&http, &api_url, &told, "delivered").await;
    // It waits in the queue for its second attempt while the process stops.
    let waiting = ask(&http, &api_url, DRIVER, &host.url("/retry-after/3/503/waiting")).await.unwrap();
    host.callback("/retry-after/3/503/waiting").await;
    let (code, _, err) =
        voltgate(&["keys", "create", "--name", "me", "--scope", "read", "--data", text(&data)], &[]).await;
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(process.stop().await, Some(0));
    assert_eq!(names(&data), WHOLE);

    // A command that uses the directory leaves no other files behind, and neither does a start that fails.
    let (code, out, _) = voltgate(&["keys", "list", "--data", text(&data)], &[]).await;
    assert!(code == Some(0) && out.contains("me"), "{out}");
    assert_eq!(voltgate(&["dead", "list", "--data", text(&data)], &[]).await.0, Some(0));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken_port = taken.local_addr().unwrap().port().to_string();
    let ports = [
        ("PUBLIC_API_PORT", taken_port.as_str()),
        ("AUTHORIZATION_SERVICE_PORT", "0"),
        ("PLATFORM_API_PORT", "0"),
        ("OCPP_PORT", "0"),
    ];
    assert_eq!(voltgate(&["up", "--data", text(&data)], &ports).await.0, Some(70));
    assert_eq!(names(&data), WHOLE);

    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::create_dir(elsewhere.path().join("data")).unwrap();
    for name in ["queue.db", "store.db"] {
        std::fs::copy(data.join(name), elsewhere.path().join("data").join(name)).unwrap();
    }
    let process = up(elsewhere.path(), port).await;
    record_once(&http, &api_url, &told, "delivered").await;
    eventually("the second attempt", async || {
        (host.count_of(|callback| callback.id() == waiting) > 1).then_some(())
    })
    .await;
    assert_eq!(process.stop().await, Some(0));
    assert_eq!(names(&elsewhere.path().join("data")), WHOLE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_restores_every_accepted_request() {
    let directory = tempfile::tempdir().unwrap();
    let (host, http, port) = (CallbackHost::start().await, reqwest_client(), free_port());
    let api_url = format!("http://127.0.0.1:{port}");
    let process = up(directory.path(), port).await;
    let data = directory.path().join("data");
    let backup = directory.path().join("backup");
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut asking = Vec::new();
    for asker in 0..6 {
        let (http, api_url, stopped) = (http.clone(), api_url.clone(), stopped.clone());
        let (at_once, later) = (host.url("/ok/backup"), host.url("/retry-after/4/503/backup"));
        asking.push(tokio::spawn(async move {
            let mut accepted = Vec::new();
            while !*stopped.borrow() {
                // A few wait for another attempt, so that they are in the queue when it is copied.
                let url = if asker == 0 && accepted.len() < 8 { &later } else { &at_once };
                if let Some(request) = ask(&http, &api_url, DRIVER, url).await {
                    accepted.push((request, Instant::now()));
                }
                tokio::time::sleep(PACE).await;
            }
            accepted
        }));
    }
    eventually("work to be under way", async || (host.received().len() > 200).then_some(())).await;
    let began = Instant::now();
    let (code, out, err) = voltgate(&["backup", text(&backup), "--data", text(&data)], &[]).await;
    assert_eq!(code, Some(0), "{out}{err}");
    let called = host.received().len();
    eventually("load to go on", async || (host.received().len() > called + 50).then_some(())).await;
    stop.send(true).unwrap();
    let mut before = Vec::new();
    for asker in asking {
        before.extend(asker.await.unwrap().into_iter().filter(|(_, at)| *at < began).map(|(id, _)| id));
    }
    assert!(before.len() > 100, "{}", before.len());
    process.kill().await;
    assert_eq!(names(&backup), ["platform.db", "queue.db", "store.db"]);

    let restored = tempfile::tempdir().unwrap();
    let target = restored.path().join("data");
    let (code, out, err) = voltgate(&["restore", text(&backup), "--data", text(&target)], &[]).await;
    assert_eq!(code, Some(0), "{out}{err}");
    assert_eq!(names(&target), ["platform.db", "queue.db", "store.db"]);
    let _process = up(restored.path(), port).await;
    for request in &before {
        let shown = record_once(&http, &api_url, request, "delivered").await;
        assert_eq!(shown["status"], "not_allowed");
    }
    host.all_of(&before).await;
    // At least the requests that waited for another attempt came from the copy of the queue.
    let again = |request: &String| host.count_of(|callback| callback.id() == request) > 1;
    assert!(before.iter().any(again));
}

#[tokio::test]
async fn backup_and_restore_overwrite_nothing_and_refuse_broken_files() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    let (data, backup) = (place("data"), place("backup"));
    let port = free_port();
    let process = up(directory.path(), port).await;
    let backed_up =
        async |target: &Path| voltgate(&["backup", text(target), "--data", text(&data)], &[]).await;
    let restored = async |backup: &Path, target: &Path| {
        voltgate(&["restore", text(backup), "--data", text(target)], &[]).await
    };
    assert_eq!(backed_up(&backup).await.0, Some(0));
    let (code, _, err) = backed_up(&backup).await;
    assert!(code == Some(64) && err.contains("holds "), "{code:?} {err}");
    // An empty directory, such as a mount point, is accepted.
    std::fs::create_dir(place("empty")).unwrap();
    assert_eq!(backed_up(&place("empty")).await.0, Some(0));
    assert_eq!(names(&place("empty")), ["platform.db", "queue.db", "store.db"]);

    let (code, _, err) = restored(&backup, &data).await;
    assert!(code == Some(69) && err.contains("a process works with it"), "{code:?} {err}");
    assert_eq!(process.stop().await, Some(0));
    let (code, _, err) = restored(&backup, &data).await;
    assert!(code == Some(64) && err.contains("holds "), "{code:?} {err}");
    // The state after an operator has removed the files.
    for name in ["platform.db", "queue.db", "store.db"] {
        std::fs::remove_file(data.join(name)).unwrap();
    }
    assert_eq!(restored(&backup, &data).await.0, Some(0));
    assert_eq!(names(&data), WHOLE);

    for (broken, code, said) in [
        ("nowhere", 64, "is no backup"),
        ("nothing", 64, "is no backup"),
        ("torn", 65, "store.db"),
        ("running", 65, "-wal"),
        ("swapped", 65, "is no "),
        ("unfinished", 64, "not finished"),
    ] {
        let broken = place(broken);
        if !broken.ends_with("nowhere") {
            std::fs::create_dir(&broken).unwrap();
        }
        if !broken.ends_with("nowhere") && !broken.ends_with("nothing") {
            for name in ["queue.db", "store.db"] {
                std::fs::copy(backup.join(name), broken.join(name)).unwrap();
            }
        }
        if broken.ends_with("torn") {
            let bytes = std::fs::read(backup.join("store.db")).unwrap();
            std::fs::write(broken.join("store.db"), &bytes[..bytes.len() / 2]).unwrap();
        } else if broken.ends_with("running") {
            std::fs::write(broken.join("queue.db-wal"), "the rest of it").unwrap();
        } else if broken.ends_with("swapped") {
            std::fs::copy(backup.join("store.db"), broken.join("queue.db")).unwrap();
        } else if broken.ends_with("unfinished") {
            std::fs::create_dir(broken.join(".incomplete-x")).unwrap();
        }
        let target = place("target");
        let (ended, _, err) = restored(&broken, &target).await;
        assert!(ended == Some(code) && err.contains(said), "{}: {ended:?} {err}", broken.display());
        assert!(!target.exists(), "{}", broken.display());
    }
}

#[tokio::test]
async fn a_backup_of_servers_is_refused_and_a_partial_one_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let backup = directory.path().join("backup");
    let servers = [("BROKER_URL", "amqp://me:s3cret@127.0.0.1:1"), ("REDIS_URL", "redis://127.0.0.1:1")];
    let (code, _, err) = voltgate(&["backup", text(&backup)], &servers).await;
    assert!(code == Some(64) && err.contains("docs/back-up.md") && !err.contains("s3cret"), "{code:?} {err}");
    assert!(!backup.exists());
    let process = up(directory.path(), free_port()).await;
    assert_eq!(process.stop().await, Some(0));
    let store = format!("embedded:{}", directory.path().join("data").display());
    let half = [("BROKER_URL", "amqp://me:s3cret@127.0.0.1:1"), ("REDIS_URL", store.as_str())];
    let (code, out, err) = voltgate(&["backup", text(&backup)], &half).await;
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("store.db") && err.contains("queue: amqp://me:****@127.0.0.1:1"), "{out}{err}");
    assert_eq!(names(&backup), ["store.db"]);
}
