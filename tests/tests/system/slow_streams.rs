//! A stream of decisions that is not read, and one without decisions.

use std::net::SocketAddr;
use std::time::Duration;

use common::decision::Decision;
use common::ids::RequestId;
use futures_util::{StreamExt, stream};
use store::{Decided, Store, StoreOptions};
use tests::PATIENCE;
use tests::deployment::Deployment;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;

use super::stores::{decided, key};

/// This many decisions, each of this length: far more than the kernel buffers for a connection.
const DECISIONS: usize = 10_000;
const LENGTH: usize = 4000;

/// The lines of an answer, as they arrive.
struct Answer(Lines<BufReader<TcpStream>>);

impl Answer {
    async fn of(api_url: &str, path: &str) -> Self {
        let address: SocketAddr = api_url.strip_prefix("http://").unwrap().parse().unwrap();
        let mut connection = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n");
        connection.write_all(request.as_bytes()).await.unwrap();
        Self(BufReader::new(connection).lines())
    }

    /// Reads until this many lines began like this.
    async fn has(&mut self, beginning: &str, count: usize) {
        let reading = async {
            let mut left = count;
            while left > 0 {
                let line = self.0.next_line().await.unwrap().expect("the stream goes on");
                left -= usize::from(line.starts_with(beginning));
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("they come in time");
    }
}

#[tokio::test]
async fn an_unread_stream_costs_no_memory_and_misses_nothing() {
    let deployment = Deployment::new().await;
    let (api, api_url) = deployment.start_api().await;
    let options =
        StoreOptions { key_prefix: deployment.prefix.clone(), retention: Duration::from_secs(3600) };
    let store = Store::open(&deployment.servers.redis, options, PATIENCE).await.unwrap();
    let (request, key) = (RequestId::new(), key("x"));
    let long = format!("http://example.com/{}", "x".repeat(LENGTH));
    let decided = Decided { callback_url: Some(long), ..decided(request, Decision::Allowed) };
    store.records().open(request, &key).await.unwrap();
    store.records().decide(&key, &decided).await.unwrap();
    let (mut read, mut unread) =
        (Answer::of(&api_url, "/requests/stream").await, Answer::of(&api_url, "/requests/stream").await);
    for stream in [&mut read, &mut unread] {
        stream.has("id: ", 1).await;
    }
    let before = api.memory();
    // As on a redelivery: opening the record adds its decision to the feed again.
    let telling = stream::iter(0..DECISIONS)
        .for_each_concurrent(64, |_| async { drop(store.records().open(request, &key).await.unwrap()) });
    tokio::join!(telling, read.has("event: decision", DECISIONS));
    let grown = api.memory().saturating_sub(before);
    assert!(grown < (DECISIONS * LENGTH / 2) as u64, "grown by {grown} bytes");
    unread.has("event: decision", DECISIONS).await;
}

#[tokio::test]
async fn an_idle_stream_sends_comments_and_a_resume_position() {
    let (_api, api_url) = Deployment::new().await.start_api().await;
    let mut stream = Answer::of(&api_url, "/requests/stream").await;
    stream.has(": nothing new", 1).await;
    stream.has("id: 0-0", 1).await;
}
