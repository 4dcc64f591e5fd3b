//! Decisions as they are made: the stream, and `voltgate log`.

use std::time::{Duration, Instant};

use common::ids::RequestId;
use serde_json::Value;
use tests::callback_host::CallbackHost;
use tests::deployment::{DRIVER, Deployment, STRANGER, Services, ask};
use tests::event_stream::EventStream;
use tests::process::program;
use tests::servers::reqwest_client;
use tests::{PATIENCE, free_port};
use tokio::io::{AsyncBufReadExt, BufReader};

use super::embedded::up;

/// A stream of decisions.
struct Stream(EventStream);

impl Stream {
    async fn open(api_url: &str, query: &str, last_id: Option<&str>) -> Self {
        let mut request = reqwest_client().get(format!("{api_url}/requests/stream{query}"));
        if let Some(last_id) = last_id {
            request = request.header("last-event-id", last_id);
        }
        Self(EventStream::open(request).await)
    }

    /// The request of the next decision, and the event's id.
    async fn decision(&mut self) -> (String, String) {
        let event = self.0.next().await.unwrap();
        assert_eq!(event.kind, "decision", "{event:?}");
        (event.data["request_id"].as_str().unwrap().to_owned(), event.id)
    }
}

async fn started() -> (Deployment, Services, CallbackHost) {
    let mut deployment = Deployment::new().await;
    let services = deployment.start().await;
    (deployment, services, CallbackHost::start().await)
}

#[tokio::test]
async fn a_stream_shows_matching_decisions_and_can_be_resumed() {
    let (deployment, services, host) = started().await;
    let asking = async |driver: &str| services.ask(&deployment.http, driver, &host.url("/ok/live")).await;
    let before = asking(DRIVER).await;
    services.record_once(&deployment.http, &before, "delivered").await;
    let mut all = Stream::open(&services.api_url, "", None).await;
    let mut invalid = Stream::open(&services.api_url, "?status=invalid", None).await;
    let mut ids = Vec::new();
    for driver in [DRIVER, "short", STRANGER] {
        let asked = asking(driver).await;
        let (told, id) = all.decision().await;
        assert_eq!(told, asked);
        ids.push((told, id));
    }
    assert_eq!(invalid.decision().await, ids[1]);
    drop(all);
    let missed = asking(DRIVER).await;
    let mut resumed = Stream::open(&services.api_url, "", Some(&ids[1].1)).await;
    assert_eq!(resumed.decision().await, ids[2]);
    assert_eq!(resumed.decision().await.0, missed);
    let mut long_gone = Stream::open(&services.api_url, "", Some("1-1")).await;
    assert_eq!(long_gone.0.next().await.unwrap().kind, "gap");
}

#[tokio::test]
async fn the_stream_does_not_miss_the_decision_on_an_old_request() {
    let mut deployment = Deployment::new().await;
    let (_acl, _) = deployment.start_acl().await;
    let (_api, api_url) = deployment.start_api().await;
    let host = CallbackHost::start().await;
    let early = ask(&deployment.http, &api_url, DRIVER, &host.url("/ok/early")).await.unwrap();
    let mut stream = Stream::open(&api_url, "", None).await;
    let _worker = deployment.start_worker();
    assert_eq!(stream.decision().await.0, early);
}

#[tokio::test]
async fn open_streams_do_not_delay_a_stop_and_their_number_is_limited() {
    let (_deployment, services, _host) = started().await;
    let mut streams = Vec::new();
    for _ in 0..64 {
        streams.push(Stream::open(&services.api_url, "", None).await);
    }
    let url = format!("{}/requests/stream", services.api_url);
    let refused = reqwest_client().get(url).send().await.unwrap();
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    let began = Instant::now();
    assert_eq!(services.api.stop().await, Some(0));
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    for mut stream in streams {
        assert!(stream.0.next().await.is_none());
    }
}

#[tokio::test]
async fn the_embedded_stream_goes_on_where_it_was_left_too() {
    let directory = tempfile::tempdir().unwrap();
    let (host, http, port) = (CallbackHost::start().await, reqwest_client(), free_port());
    let _process = up(directory.path(), port).await;
    let api_url = format!("http://127.0.0.1:{port}");
    let mut stream = Stream::open(&api_url, "", None).await;
    let first = ask(&http, &api_url, DRIVER, &host.url("/ok/live")).await.unwrap();
    let (told, id) = stream.decision().await;
    assert_eq!(told, first);
    drop(stream);
    let second = ask(&http, &api_url, DRIVER, &host.url("/ok/live")).await.unwrap();
    let mut stream = Stream::open(&api_url, "", Some(&id)).await;
    assert_eq!(stream.decision().await.0, second);
}

/// The output of `voltgate log`.
async fn log(api_url: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = tokio::process::Command::new(program("voltgate"));
    let output = command.args(["log", "--api", api_url]).args(arguments).output().await.unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn the_log_is_a_table_without_tokens_or_a_json_object_a_line() {
    let (deployment, services, host) = started().await;
    let mut asked = Vec::new();
    for driver in [DRIVER, STRANGER] {
        let request = services.ask(&deployment.http, driver, &host.url("/ok/log")).await;
        services.record_once(&deployment.http, &request, "delivered").await;
        asked.push(request);
    }
    let (code, table) = log(&services.api_url, &[]).await;
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!((code, lines.len()), (Some(0), 3), "{table}");
    assert!(lines[1].contains(&asked[1]) && lines[2].contains(&asked[0]), "the newest first: {table}");
    assert!(lines[2].contains("vali****") && !table.contains(DRIVER), "{table}");
    assert!(log(&services.api_url, &["--show-tokens"]).await.1.contains(DRIVER));
    let (_, json) = log(&services.api_url, &["--json", "--driver", DRIVER]).await;
    let line: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(line["request_id"], asked[0]);
    assert_eq!(log(&services.api_url, &["--decision", "unknown"]).await.1, "no such requests\n");
    let (code, text) = log(&services.api_url, &["--decision", "maybe"]).await;
    assert!(code == Some(64) && text.contains("possible values: allowed, not_allowed"), "{code:?} {text}");
    assert_eq!(log("http://127.0.0.1:9", &[]).await.0, Some(69));
    let head = format!("{} log --api {} | head -1", program("voltgate").display(), services.api_url);
    let head = tokio::process::Command::new("bash").args(["-o", "pipefail", "-c", &head]).output();
    let head = head.await.unwrap();
    assert!(head.status.success() && head.stderr.is_empty(), "{head:?}");
}

#[tokio::test]
async fn a_followed_log_begins_with_the_last_and_survives_a_restart() {
    let (deployment, services, host) = started().await;
    let asking =
        async |api_url: &str| ask(&deployment.http, api_url, DRIVER, &host.url("/ok/log")).await.unwrap();
    let earlier = asking(&services.api_url).await;
    services.record_once(&deployment.http, &earlier, "delivered").await;
    let mut log = tokio::process::Command::new(program("voltgate"))
        .args(["log", "--follow", "--json", "--api", &services.api_url])
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(log.stdout.take().unwrap()).lines();
    let mut next = async || {
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
        let shown: Value = serde_json::from_str(&line).unwrap();
        shown["request_id"].as_str().unwrap().parse::<RequestId>().unwrap().to_string()
    };
    assert_eq!(next().await, earlier);
    let first = asking(&services.api_url).await;
    assert_eq!(next().await, first);
    let port = services.api_url.rsplit(':').next().unwrap();
    assert_eq!(services.api.stop().await, Some(0));
    // A decision made meanwhile, requested at another process.
    let (_other, other_url) = deployment.start_api().await;
    let meanwhile = asking(&other_url).await;
    let (_api, _) = deployment.clone().with("PUBLIC_API_PORT", port).start_api().await;
    assert_eq!(next().await, meanwhile);
}
