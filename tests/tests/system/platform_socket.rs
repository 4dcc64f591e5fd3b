//! The live stream as a WebSocket, with a client that is not ours.

use reqwest::Method;
use tests::deployment::Deployment;
use tests::eventually;
use tests::platform::{Answer, KEY, Platform};
use tests::python::Python;

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

#[tokio::test]
async fn a_request_that_is_no_handshake_is_refused_and_takes_no_place() {
    let platform = Platform::of(Deployment::new().await.with("LIVE_STREAMS", 1)).await;
    for _ in 0..3 {
        assert_eq!(platform.get("/ws/live").await.refusal(), (400, "upgrade"));
    }
    let handshake = |version: &str| {
        let request = platform.stranger(Method::GET, "/ws/live").header("connection", "upgrade");
        let request = request.header("upgrade", "websocket").header("sec-websocket-version", version);
        request.header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
    };
    assert_eq!(Answer::to(handshake("13")).await.refusal(), (401, "authorization"));
    assert_eq!(Answer::to(handshake("12").bearer_auth(KEY)).await.refusal(), (400, "upgrade"));
    let open = handshake("13").bearer_auth(KEY).send().await.unwrap();
    assert_eq!(open.status(), 101);
    let full = Answer::to(handshake("13").bearer_auth(KEY)).await;
    assert_eq!((full.refusal(), full.header("retry-after")), ((503, "stream"), Some("10")));
}
