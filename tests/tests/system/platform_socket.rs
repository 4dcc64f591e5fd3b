//! The live stream as a WebSocket, with a client that is not ours.

use charging::Db;
use reqwest::Method;
use tests::deployment::Deployment;
use tests::eventually;
use tests::platform::{Answer, KEY, Platform};
use tests::python::Python;

use super::platform_live::burst;

const CLIENT: &str = include_str!("../../clients/live_socket.py");

#[tokio::test]
async fn a_web_socket_has_the_events_of_the_stream() {
    let platform = Platform::start().await;
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let python = &platform.deployment.servers.python;
    let mut client = Python::start(python, CLIENT, &[&platform.url, KEY], &log);
    let output = || std::fs::read_to_string(&log).unwrap_or_default();
    eventually("the client to be connected", async || {
        assert!(!client.has_ended(), "{}", output());
        output().contains("connected").then_some(())
    })
    .await;
    assert_eq!(platform.process.stop().await, Some(0));
    assert!(client.ended_well().await, "{}", output());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_of_a_web_socket_is_dropped_and_delays_no_other() {
    let platform = Platform::start().await;
    let mut fast = platform.live("", None).await;
    // It is never read.
    let slow = handshake(&platform, "13").bearer_auth(KEY).send().await.unwrap();
    assert_eq!(slow.status(), 101);
    let db = Db::open_beside(&platform.directory().join("platform")).await.unwrap();
    let mut last = 0;
    for _ in 0..40 {
        burst(&db, 100, 4000).await;
        for _ in 0..100 {
            let event = fast.next().await.expect("the stream goes on");
            last += 1;
            assert_eq!(event.data["id"], last);
        }
    }
    eventually("the slow reader to be dropped", async || {
        let metrics = Answer::to(platform.stranger(Method::GET, "/metrics")).await.text;
        let dropped = metrics.contains("voltgate_live_streams_dropped_total 1");
        (dropped && metrics.contains("voltgate_live_streams 1")).then_some(())
    })
    .await;
}

fn handshake(platform: &Platform, version: &str) -> reqwest::RequestBuilder {
    let request = platform.stranger(Method::GET, "/ws/live").header("connection", "upgrade");
    let request = request.header("upgrade", "websocket").header("sec-websocket-version", version);
    request.header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
}

#[tokio::test]
async fn a_request_that_is_no_handshake_is_refused_and_takes_no_place() {
    let platform = Platform::of(Deployment::new().await.with("LIVE_STREAMS", 1)).await;
    for _ in 0..3 {
        assert_eq!(platform.get("/ws/live").await.refusal(), (400, "upgrade"));
    }
    let handshake = |version| handshake(&platform, version);
    assert_eq!(Answer::to(handshake("13")).await.refusal(), (401, "authorization"));
    assert_eq!(Answer::to(handshake("12").bearer_auth(KEY)).await.refusal(), (400, "upgrade"));
    let open = handshake("13").bearer_auth(KEY).send().await.unwrap();
    assert_eq!(open.status(), 101);
    let full = Answer::to(handshake("13").bearer_auth(KEY)).await;
    assert_eq!((full.refusal(), full.header("retry-after")), ((503, "stream"), Some("10")));
}
