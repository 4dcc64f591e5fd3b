//! platform-api stops: streams end, requests in flight finish; and it limits its streams.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::json;
use tests::deployment::Deployment;
use tests::platform::{Answer, KEY, Platform};
use tests::{PATIENCE, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn the_number_of_streams_is_limited_and_a_closed_one_makes_room() {
    let platform = Platform::of(Deployment::new().await.with("LIVE_STREAMS", 2)).await;
    let (first, second) = (platform.live("", None).await, platform.live("", None).await);
    let refused = Answer::to(platform.request(Method::GET, "/api/v1/live")).await;
    assert_eq!(refused.refusal(), (503, "stream"));
    assert_eq!(refused.header("retry-after"), Some("10"));
    // What is malformed takes no place, and says so before it is refused for the lack of one.
    let bad = Answer::to(platform.request(Method::GET, "/api/v1/live?events=x")).await;
    assert_eq!(bad.refusal(), (400, "events"));
    drop(first);
    let third = eventually("the place of a closed stream", async || {
        let answer = platform.request(Method::GET, "/api/v1/live").send().await.unwrap();
        (answer.status() == 200).then_some(answer)
    })
    .await;
    drop((second, third));
}

#[tokio::test]
async fn open_streams_do_not_delay_a_stop() {
    let platform = Platform::start().await;
    let mut streams = Vec::new();
    for _ in 0..50 {
        streams.push(platform.live("", None).await);
    }
    platform.station("HAM-1").await;
    for stream in &mut streams {
        assert_eq!(stream.next().await.unwrap().data["type"], "station.created");
    }
    let began = Instant::now();
    assert_eq!(platform.process.stop().await, Some(0));
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    for mut stream in streams {
        assert!(stream.next().await.is_none());
    }
}

#[tokio::test]
async fn a_request_in_flight_is_answered_before_the_process_ends() {
    let mut platform = Platform::start().await;
    let address = platform.url.strip_prefix("http://").unwrap().to_owned();
    let body = json!({"charger": "HAM-1"}).to_string();
    let head = format!(
        "POST /api/v1/stations HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {KEY}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let (first, rest) = body.split_at(5);
    let mut connection = TcpStream::connect(&address).await.unwrap();
    connection.write_all(format!("{head}{first}").as_bytes()).await.unwrap();
    // A later request that is answered: the first one has arrived by then.
    platform.get("/readyz").await;
    platform.process.signal(Signal::SIGTERM);
    eventually("it to accept no more connections", async || TcpStream::connect(&address).await.err()).await;
    connection.write_all(rest.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let reading = connection.read_to_end(&mut answer);
    tokio::time::timeout(PATIENCE, reading).await.unwrap().unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert_eq!(platform.process.ended().await, Some(0), "{}", platform.process.log());
    let platform = platform.start_again().await;
    assert_eq!(platform.get("/api/v1/stations").await.body["items"][0]["charger"], "HAM-1");
}
