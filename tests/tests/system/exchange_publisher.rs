//! Messages published to an exchange: what is confirmed is in every queue that is bound, stored and in order.

use std::time::Instant;

use bytes::Bytes;
use futures_util::StreamExt;
use lapin::options::{BasicConsumeOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties, Consumer, ExchangeKind};
use task_queue::broker::{Exchange, ExchangePublisher};
use task_queue::message::Properties;
use task_queue::{Message, PublishError};
use tests::deployment::Deployment;
use tests::stage::OwnServers;
use tests::{PATIENCE, eventually};

const EXCHANGE: &str = "tests.events";

fn exchange() -> Exchange {
    Exchange { name: EXCHANGE.to_owned(), kind: "topic".to_owned(), durable: true }
}

async fn publisher(deployment: &Deployment) -> ExchangePublisher {
    deployment.broker().await.bus().unwrap().publisher(exchange())
}

/// A durable queue that is bound to an exchange by `#`, with a connection of its own.
pub(super) struct BoundQueue {
    name: &'static str,
    connection: Connection,
}

impl BoundQueue {
    pub(super) async fn bind(deployment: &Deployment, exchange: &str, name: &'static str) -> Self {
        let queue = Self::reach(deployment, name).await;
        let channel = queue.connection.create_channel().await.unwrap();
        let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let (none, kind) = (FieldTable::default, ExchangeKind::Topic);
        channel.exchange_declare(exchange.into(), kind, durable, none()).await.unwrap();
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(name.into(), durable, none()).await.unwrap();
        let (options, all) = (QueueBindOptions::default(), "#");
        channel.queue_bind(name.into(), exchange.into(), all.into(), options, none()).await.unwrap();
        queue
    }

    /// A queue that exists, after the broker was started again.
    pub(super) async fn reach(deployment: &Deployment, name: &'static str) -> Self {
        let url = deployment.environment["BROKER_URL"].clone();
        let connection = eventually("a connection of the test", async || {
            Connection::connect(&url, ConnectionProperties::default()).await.ok()
        });
        Self { name, connection: connection.await }
    }

    pub(super) async fn consume(&self) -> Consumer {
        let channel = self.connection.create_channel().await.unwrap();
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        channel.basic_consume(self.name.into(), "test".into(), options, FieldTable::default()).await.unwrap()
    }
}

pub(super) async fn next(consumer: &mut Consumer) -> lapin::message::Delivery {
    tokio::time::timeout(PATIENCE, consumer.next()).await.expect("a message in time").unwrap().unwrap()
}

fn message(number: u32) -> Message {
    let properties = Properties {
        message_id: Some(number.to_string()),
        timestamp: Some(1_795_246_335),
        ..Properties::default()
    };
    Message { properties, body: Bytes::from(number.to_string()), ..Message::default() }
}

async fn publish(
    publisher: &mut ExchangePublisher,
    numbers: std::ops::Range<u32>,
) -> Result<(), PublishError> {
    let messages: Vec<Message> = numbers.map(message).collect();
    let messages: Vec<(&str, &Message)> = messages.iter().map(|message| ("some.thing", message)).collect();
    publisher.publish_all(&messages).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bound_queue_receives_persistent_messages_in_order() {
    let deployment = Deployment::new().await;
    let mut publisher = publisher(&deployment).await;
    publish(&mut publisher, 0..1).await.expect("confirmed, though no queue is bound");
    let queue = BoundQueue::bind(&deployment, EXCHANGE, "bound").await;
    publish(&mut publisher, 1..501).await.unwrap();
    publisher.publish("another.key", &message(501)).await.unwrap();
    let mut consumer = queue.consume().await;
    for number in 1..502 {
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.data, number.to_string().into_bytes());
        assert_eq!(*delivery.properties.delivery_mode(), Some(2));
        assert_eq!(*delivery.properties.timestamp(), Some(1_795_246_335));
        let key = if number == 501 { "another.key" } else { "some.thing" };
        assert_eq!(delivery.routing_key.as_str(), key);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_is_refused_before_anything_is_sent() {
    let deployment = Deployment::new().await;
    let mut publisher = publisher(&deployment).await;
    let queue = BoundQueue::bind(&deployment, EXCHANGE, "bound").await;
    let (small, long) = (message(1), "k".repeat(256));
    let refused = publisher.publish_all(&[("some.thing", &small), (&long, &small)]).await;
    assert!(matches!(refused, Err(PublishError::TooLarge(_))), "{refused:?}");
    publish(&mut publisher, 2..3).await.unwrap();
    assert_eq!(next(&mut queue.consume().await).await.data, b"2");
}

/// Publishes each batch until it is confirmed. Returns how many messages were.
async fn publish_until_confirmed(publisher: &mut ExchangePublisher, batches: u32) -> u32 {
    const BATCH: u32 = 20;
    for batch in 0..batches {
        let began = Instant::now();
        while publish(publisher, batch * BATCH..(batch + 1) * BATCH).await.is_err() {
            assert!(began.elapsed() < PATIENCE, "a batch is never confirmed");
            tokio::task::yield_now().await;
        }
    }
    batches * BATCH
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_confirmed_outlives_a_restart_of_the_broker() {
    let mut servers = OwnServers::start().await;
    let deployment = Deployment::on(servers.addresses()).await;
    let mut publisher = publisher(&deployment).await;
    BoundQueue::bind(&deployment, EXCHANGE, "bound").await;
    let publishing = tokio::spawn(async move {
        let confirmed = publish_until_confirmed(&mut publisher, 300).await;
        (confirmed, publisher)
    });
    let queue = format!("queues/{}/bound", deployment.vhost);
    eventually("some to be published", async || {
        let queue = deployment.servers.broker_get(&queue).await?;
        queue["messages"].as_u64().filter(|messages| *messages > 0)
    })
    .await;
    servers.broker.kill().unwrap();
    servers.broker = tokio::task::spawn_blocking(move || {
        servers.broker.start_again().unwrap();
        servers.broker
    })
    .await
    .unwrap();
    let (confirmed, _) = publishing.await.unwrap();
    let mut consumer = BoundQueue::reach(&deployment, "bound").await.consume().await;
    let mut expected = 0;
    while expected < confirmed {
        let number: u32 = String::from_utf8(next(&mut consumer).await.data).unwrap().parse().unwrap();
        // A batch that was not confirmed is published again as a whole.
        assert!(number <= expected, "{expected} is missing before {number}");
        expected = expected.max(number + 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_short_of_memory_is_waited_for() {
    let servers = OwnServers::start().await;
    let deployment = Deployment::on(servers.addresses()).await;
    let mut publisher = publisher(&deployment).await;
    publish(&mut publisher, 0..1).await.unwrap();
    servers.broker.alarm(true).unwrap();
    // The first is sent before the broker reports that it is blocked. The next ones are not.
    eventually("it to be refused at once", async || match publish(&mut publisher, 1..2).await {
        Err(PublishError::Unavailable(_)) => Some(()),
        Err(PublishError::Unconfirmed(_)) => None,
        other => panic!("{other:?}"),
    })
    .await;
    servers.broker.alarm(false).unwrap();
    eventually("it to be confirmed", async || publish(&mut publisher, 1..2).await.ok()).await;
}
