//! What every broker guarantees, tested on each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;
use task_queue::broker::{Deliveries, Settled};
use task_queue::message::{Headers, Properties};
use task_queue::{Broker, Delivery, Message, QueueType, Topology, connect};
use tempfile::TempDir;
use tests::deployment::Deployment;
use tests::{PATIENCE, eventually};
use tokio_util::sync::CancellationToken;

/// Each kind of broker, empty, with a queue `work`.
async fn brokers() -> Vec<(&'static str, Arc<dyn Broker>, Option<TempDir>)> {
    let deployment = Deployment::new().await;
    let topology = |queue_type| Topology {
        queues: vec!["work".to_owned()],
        queue_type,
        publish_timeout: Duration::from_secs(10),
        name: "conformance".to_owned(),
    };
    let directory = tempfile::tempdir().unwrap();
    let embedded = format!("embedded:{}", directory.path().display());
    let classic = Deployment::new().await;
    let (quorum_url, classic_url) =
        (&deployment.environment["BROKER_URL"], &classic.environment["BROKER_URL"]);
    vec![
        ("quorum", connect(quorum_url, topology(QueueType::Quorum), PATIENCE).await.unwrap(), None),
        ("classic", connect(classic_url, topology(QueueType::Classic), PATIENCE).await.unwrap(), None),
        (
            "embedded",
            connect(&embedded, topology(QueueType::Quorum), PATIENCE).await.unwrap(),
            Some(directory),
        ),
    ]
}

fn message(text: &str) -> Message {
    let properties = Properties {
        content_type: Some("application/json".to_owned()),
        correlation_id: Some(text.to_owned()),
        priority: Some(3),
        ..Properties::default()
    };
    let headers = json!({"id": text, "retries": 0, "eta": null, "nested": {"list": [1, "two", 3.5, true]}});
    let headers: Headers = headers.as_object().unwrap().clone();
    Message { properties, headers, body: Bytes::from(text.to_owned()) }
}

async fn publish(broker: &Arc<dyn Broker>, text: &str, delay: Duration) {
    broker.publish("work", &message(text), delay).await.unwrap();
}

async fn next(deliveries: &mut Deliveries) -> Delivery {
    tokio::time::timeout(PATIENCE, deliveries.recv()).await.expect("a delivery in time").unwrap()
}

#[tokio::test]
async fn messages_arrive_unchanged_in_order_and_are_gone_after_an_ack() {
    for (kind, broker, _directory) in brokers().await {
        for text in ["one", "two", "three"] {
            publish(&broker, text, Duration::ZERO).await;
        }
        eventually("three messages to wait", async || {
            (broker.depth("work").await.unwrap() == 3).then_some(())
        })
        .await;
        let mut deliveries = broker.consume("work", 10, CancellationToken::new()).await.unwrap();
        for text in ["one", "two", "three"] {
            let delivery = next(&mut deliveries).await;
            assert_eq!(delivery.message, message(text), "{kind}");
            assert_eq!((delivery.deliveries, &*delivery.queue), (1, "work"), "{kind}");
            delivery.ack().await.unwrap();
        }
        eventually("nothing to wait", async || (broker.depth("work").await.unwrap() == 0).then_some(()))
            .await;
    }
}

#[tokio::test]
async fn a_message_that_is_given_back_comes_again_and_is_counted() {
    for (kind, broker, _directory) in brokers().await {
        publish(&broker, "again", Duration::ZERO).await;
        let mut deliveries = broker.consume("work", 10, CancellationToken::new()).await.unwrap();
        next(&mut deliveries).await.requeue().await.unwrap();
        let second = next(&mut deliveries).await;
        assert_eq!((&second.message.body[..], second.deliveries), (&b"again"[..], 2), "{kind}");
        second.ack().await.unwrap();
    }
}

#[tokio::test]
async fn no_more_than_the_prefetch_is_in_hand() {
    for (kind, broker, _directory) in brokers().await {
        for number in 0..10 {
            publish(&broker, &number.to_string(), Duration::ZERO).await;
        }
        let mut deliveries = broker.consume("work", 3, CancellationToken::new()).await.unwrap();
        let mut in_flight = Vec::new();
        for _ in 0..3 {
            in_flight.push(next(&mut deliveries).await);
        }
        eventually("seven to wait", async || (broker.depth("work").await.unwrap() == 7).then_some(())).await;
        assert!(deliveries.try_recv().is_err(), "{kind} handed out a fourth");
        in_flight.pop().unwrap().ack().await.unwrap();
        assert_eq!(&next(&mut deliveries).await.message.body[..], b"3", "{kind}");
    }
}

#[tokio::test]
async fn a_delayed_message_comes_when_it_is_due_and_keeps_its_headers() {
    for (kind, broker, _directory) in brokers().await {
        // The first delay declares the delay ladder, which takes a while.
        publish(&broker, "warm", Duration::from_secs(1)).await;
        let mut deliveries = broker.consume("work", 10, CancellationToken::new()).await.unwrap();
        next(&mut deliveries).await.ack().await.unwrap();
        let began = Instant::now();
        publish(&broker, "later", Duration::from_secs(3)).await;
        publish(&broker, "sooner", Duration::from_secs(1)).await;
        for (text, seconds) in [("sooner", 1), ("later", 3)] {
            let delivery = next(&mut deliveries).await;
            let waited = began.elapsed();
            assert_eq!(delivery.message.without_delivery_headers(), message(text), "{kind}");
            assert_eq!(&*delivery.queue, "work", "{kind}");
            assert!(waited >= Duration::from_secs(seconds), "{kind}: {text} after {waited:?}");
            delivery.ack().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_delayed_message_with_an_expiration_is_not_lost_or_early() {
    for (kind, broker, _directory) in brokers().await {
        publish(&broker, "warm", Duration::from_secs(1)).await;
        let mut deliveries = broker.consume("work", 10, CancellationToken::new()).await.unwrap();
        next(&mut deliveries).await.ack().await.unwrap();
        let mut brief = message("brief");
        brief.properties.expiration = Some("100".to_owned());
        let began = Instant::now();
        broker.publish("work", &brief, Duration::from_secs(2)).await.unwrap();
        let delivery = next(&mut deliveries).await;
        assert!(began.elapsed() >= Duration::from_secs(2), "{kind}: after {:?}", began.elapsed());
        delivery.ack().await.unwrap();
    }
}

#[tokio::test]
async fn a_consumer_that_stops_leaves_the_rest_to_others() {
    for (kind, broker, _directory) in brokers().await {
        let stop = CancellationToken::new();
        let mut deliveries = broker.consume("work", 10, stop.clone()).await.unwrap();
        publish(&broker, "first", Duration::ZERO).await;
        let in_flight = next(&mut deliveries).await;
        stop.cancel();
        while let Some(delivery) = deliveries.recv().await {
            delivery.requeue().await.unwrap();
        }
        publish(&broker, "second", Duration::ZERO).await;
        assert_eq!(in_flight.ack().await.unwrap(), Settled::Done, "{kind}");
        let mut others = broker.consume("work", 10, CancellationToken::new()).await.unwrap();
        let delivery = next(&mut others).await;
        assert_eq!(&delivery.message.body[..], b"second", "{kind}");
        delivery.ack().await.unwrap();
    }
}

#[tokio::test]
async fn a_queue_that_was_deleted_is_made_again() {
    let deployment = Deployment::new().await;
    let topology = Topology {
        queues: vec!["work".to_owned()],
        queue_type: QueueType::Quorum,
        publish_timeout: Duration::from_secs(10),
        name: "conformance".to_owned(),
    };
    let broker = connect(&deployment.environment["BROKER_URL"], topology, PATIENCE).await.unwrap();
    let mut deliveries = broker.consume("work", 10, CancellationToken::new()).await.unwrap();
    publish(&broker, "before", Duration::ZERO).await;
    next(&mut deliveries).await.ack().await.unwrap();
    let url = format!("{}/api/queues/{}/work", deployment.servers.broker_api, deployment.vhost);
    eventually("the broker to count the consumer", async || {
        let queue = deployment.servers.broker_get(&format!("queues/{}/work", deployment.vhost)).await?;
        (queue["consumers"] == 1).then_some(())
    })
    .await;
    assert!(deployment.http.delete(url).send().await.unwrap().status().is_success());
    eventually("the queue to be gone", async || {
        let queue = deployment.servers.broker_get(&format!("queues/{}/work", deployment.vhost)).await;
        queue.is_none_or(|queue| queue["consumers"] != 1).then_some(())
    })
    .await;
    eventually("the consumer to have made it again", async || {
        let queue = deployment.servers.broker_get(&format!("queues/{}/work", deployment.vhost)).await?;
        (queue["consumers"] == 1).then_some(())
    })
    .await;
    publish(&broker, "after", Duration::ZERO).await;
    let delivery = next(&mut deliveries).await;
    assert_eq!(&delivery.message.body[..], b"after");
    delivery.ack().await.unwrap();
}
