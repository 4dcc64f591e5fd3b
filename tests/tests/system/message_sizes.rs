//! Messages larger than this connection or this broker can carry. If they were sent, each would close the publishing
//! connection, with all of its messages in flight, again and again.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};
use task_queue::broker::TooLarge;
use task_queue::message::Headers;
use task_queue::protocol::{Origin, TaskOptions};
use task_queue::{
    Broker, Message, Outcome, PublishError, QueueType, Retry, Task, TaskContext, TaskMessage, Tasks,
    Topology, Worker, WorkerConfig, connect,
};
use tempfile::TempDir;
use test_servers::RabbitMq;
use tests::{PATIENCE, eventually};
use tokio_util::sync::CancellationToken;

/// A broker with its own settings.
async fn rabbitmq(settings: &'static str) -> (RabbitMq, TempDir) {
    let directory = tempfile::Builder::new().prefix("voltgate-test-").tempdir().unwrap();
    let below = directory.path().to_owned();
    fs::create_dir_all(below.join("etc/conf.d")).unwrap();
    fs::write(below.join("etc/conf.d/10-sizes.conf"), settings).unwrap();
    let started = tokio::task::spawn_blocking(move || RabbitMq::start(&below).unwrap());
    (started.await.unwrap(), directory)
}

async fn connected(rabbitmq: &RabbitMq) -> Arc<dyn Broker> {
    let topology = Topology {
        queues: vec!["celery".to_owned()],
        queue_type: QueueType::Quorum,
        publish_timeout: Duration::from_secs(10),
        name: "sizes".to_owned(),
    };
    connect(&format!("{}/%2f", rabbitmq.amqp_url()), topology, PATIENCE).await.unwrap()
}

/// The maximum frame size of each connection, as reported by the broker.
async fn frame_sizes(rabbitmq: &RabbitMq) -> Vec<u64> {
    let url = format!("{}/api/connections", rabbitmq.api_url());
    let connections: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    connections.as_array().unwrap().iter().filter_map(|each| each["frame_max"].as_u64()).collect()
}

fn with_header(length: usize) -> Message {
    let headers = Headers::from_iter([("long".to_owned(), json!("x".repeat(length)))]);
    Message { headers, body: Bytes::from_static(b"[]"), ..Message::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_is_at_most_131072_bytes_whatever_the_broker_offers() {
    for offered in ["frame_max = 0\n", "frame_max = 16777216\n"] {
        let (rabbitmq, _directory) = rabbitmq(offered).await;
        let broker = connected(&rabbitmq).await;
        let sizes = eventually("the connection to be listed", async || {
            Some(frame_sizes(&rabbitmq).await).filter(|sizes| !sizes.is_empty())
        })
        .await;
        assert_eq!(sizes, [131_072], "{offered}");
        broker.publish("celery", &with_header(130_000), Duration::ZERO).await.unwrap();
        broker.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_over_the_frame_or_size_limit_is_refused_alone() {
    let (rabbitmq, _directory) = rabbitmq("frame_max = 8192\nmax_message_size = 100000\n").await;
    let broker = connected(&rabbitmq).await;
    broker.publish("celery", &with_header(8000), Duration::ZERO).await.unwrap();
    let refused = broker.publish("celery", &with_header(8192), Duration::ZERO).await;
    let Err(PublishError::TooLarge(TooLarge::Headers { needed, agreed: 8192 })) = refused else {
        panic!("{refused:?}")
    };
    assert!(needed > 8192);
    let body = |length: usize| Message { body: Bytes::from(vec![b' '; length]), ..Message::default() };
    broker.publish("celery", &body(100_000), Duration::ZERO).await.unwrap();
    let refused = broker.publish("celery", &body(100_001), Duration::ZERO).await;
    assert!(matches!(refused, Err(PublishError::TooLarge(TooLarge::Body(100_001)))), "{refused:?}");
    broker.publish("celery", &body(10), Duration::ZERO).await.unwrap();
    assert_eq!(broker.depth("celery").await.unwrap(), 3);
}

/// Retried once, with a header of the requested length.
struct Grow;

#[derive(serde::Deserialize)]
struct GrowArgs {
    header: usize,
}

#[async_trait]
impl Task for Grow {
    const NAME: &'static str = "tests.grow";
    const PARAMETERS: &'static [&'static str] = &["header"];
    type Args = GrowArgs;

    async fn run(&self, args: GrowArgs, context: TaskContext) -> Outcome {
        if context.retries > 0 || args.header == 0 {
            return Outcome::Done;
        }
        let headers = Headers::from_iter([("long".to_owned(), json!("x".repeat(args.header)))]);
        Retry { headers, ..Retry::after(Duration::ZERO) }.into()
    }
}

fn grow(id: &str, header: usize, headers: Headers) -> Message {
    let task = TaskMessage {
        name: Grow::NAME,
        id: id.to_owned(),
        args: vec![json!(header)],
        argsrepr: "()".to_owned(),
        headers,
        options: TaskOptions::default(),
    };
    task.encode(&Origin::new())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unpublishable_outcome_becomes_a_dead_letter_that_fits() {
    let (rabbitmq, _directory) = rabbitmq("frame_max = 8192\nmax_message_size = 100000\n").await;
    let broker = connected(&rabbitmq).await;
    let tasks = Tasks::default().register(Grow).unwrap();
    let config = WorkerConfig { queues: vec![("celery".to_owned(), 10)], grace: Duration::from_secs(5) };
    let stop = CancellationToken::new();
    let _stop = stop.clone().drop_guard();
    tokio::spawn(Worker::new(Arc::clone(&broker), tasks, config).run(stop));
    broker.publish("celery", &grow("too large again", 9000, Headers::new()), Duration::ZERO).await.unwrap();
    // It arrives at the maximum size, so that no header can be added.
    let full = Headers::from_iter([("tenant".to_owned(), json!("x".repeat(7200)))]);
    let mut unknown = grow("full", 0, full);
    unknown.headers.insert("task".to_owned(), json!("tests.nosuch"));
    broker.publish("celery", &unknown, Duration::ZERO).await.unwrap();
    // Decompressed it is larger than the broker accepts.
    let plain =
        json!({"task": "tests.nosuch", "id": "compressed", "args": [" ".repeat(200_000)], "kwargs": {}});
    let compressed = Message {
        headers: Headers::from_iter([("compression".to_owned(), json!("zstd"))]),
        body: Bytes::from(zstd::encode_all(plain.to_string().as_bytes(), 3).unwrap()),
        ..Message::default()
    };
    broker.publish("celery", &compressed, Duration::ZERO).await.unwrap();
    broker.publish("celery", &grow("fine", 0, Headers::new()), Duration::ZERO).await.unwrap();
    eventually("a dead letter", async || broker.depth("celery.dead").await.ok().filter(|dead| *dead > 0))
        .await;
    let mut letters = broker.consume("celery.dead", 10, CancellationToken::new()).await.unwrap();
    let mut buried = BTreeSet::new();
    // A message whose confirm is lost with the closed session is dead-lettered again.
    while buried.len() < 3 {
        let letter = tokio::time::timeout(PATIENCE, letters.recv()).await.expect("three letters").unwrap();
        buried.insert(letter.message.text_header("id").map(str::to_owned));
        letter.ack().await.unwrap();
    }
    // The compressed one has its id in its body, unchanged.
    assert_eq!(buried, [None, Some("full"), Some("too large again")].map(|id| id.map(str::to_owned)).into());
    let emptied = async || (broker.depth("celery").await.ok()? == 0).then_some(());
    eventually("the queue to be empty", emptied).await;
}
