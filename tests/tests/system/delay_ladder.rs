//! Celery's ladder of delay queues, parts of which are deleted while we are connected.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use task_queue::broker::Deliveries;
use task_queue::{Broker, Message, QueueType, Topology, connect};
use tests::deployment::Deployment;
use tests::{PATIENCE, eventually};
use tokio_util::sync::CancellationToken;

/// A broker with a declared ladder in use, and the deliveries of its queue `work`.
struct Ladder {
    deployment: Deployment,
    broker: Arc<dyn Broker>,
    deliveries: Deliveries,
}

impl Ladder {
    async fn in_use() -> Self {
        let mut ladder = Self::of(Deployment::new().await).await;
        ladder.delay("warm", 1).await;
        ladder.comes("warm").await;
        ladder
    }

    /// A broker whose ladder is not used so far, so that none of it is declared yet.
    async fn of(deployment: Deployment) -> Self {
        let topology = Topology {
            queues: vec!["work".to_owned()],
            queue_type: QueueType::Quorum,
            publish_timeout: Duration::from_secs(10),
            name: "ladder".to_owned(),
        };
        let broker = connect(&deployment.environment["BROKER_URL"], topology, PATIENCE).await.unwrap();
        let deliveries = broker.consume("work", 10, CancellationToken::new()).await.unwrap();
        Self { deployment, broker, deliveries }
    }

    async fn delay(&self, text: &str, seconds: u64) {
        let message = Message { body: Bytes::from(text.to_owned()), ..Message::default() };
        self.broker.publish("work", &message, Duration::from_secs(seconds)).await.unwrap();
    }

    async fn comes(&mut self, text: &str) {
        let delivery =
            tokio::time::timeout(PATIENCE, self.deliveries.recv()).await.expect("it comes").unwrap();
        assert_eq!(&delivery.message.body[..], text.as_bytes());
        delivery.ack().await.unwrap();
    }

    /// Deletes `queues/NAME` or `exchanges/NAME`.
    async fn delete(&self, what: &str) {
        let (kind, name) = what.split_once('/').unwrap();
        let path = format!("{kind}/{}/{name}", self.deployment.vhost);
        let url = format!("{}/api/{path}", self.deployment.servers.broker_api);
        let response = self.deployment.http.delete(url).send().await.unwrap();
        assert!(response.status().is_success(), "{response:?}");
        eventually("it to be gone", async || {
            self.deployment.servers.broker_get(&path).await.is_none().then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn an_unroutable_delay_recreates_its_level_and_arrives_in_time() {
    let mut ladder = Ladder::in_use().await;
    for (number, gone) in ["queues/celery_delayed_1", "queues/celery_delayed_0", "exchanges/celery_delayed_1"]
        .iter()
        .enumerate()
    {
        ladder.delete(gone).await;
        let began = Instant::now();
        // A missing exchange closes the channel; the next attempt uses another one.
        let text = format!("{number}");
        eventually("the delay to be confirmed", async || {
            let message = Message { body: Bytes::from(text.clone()), ..Message::default() };
            let seconds = if gone.ends_with('0') { 1 } else { 2 };
            ladder.broker.publish("work", &message, Duration::from_secs(seconds)).await.ok()
        })
        .await;
        ladder.comes(&text).await;
        assert!(began.elapsed() < Duration::from_secs(20), "{gone}: {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn a_delay_goes_on_when_a_level_below_it_was_deleted() {
    for gone in ["queues/celery_delayed_0", "exchanges/celery_delayed_1", "exchanges/celery_delayed_delivery"]
    {
        let mut ladder = Ladder::in_use().await;
        // It waits at level 1 and continues at level 0, then at the foot.
        ladder.delay("held", 3).await;
        ladder.delete(gone).await;
        ladder.comes("held").await;
    }
}

#[tokio::test]
async fn a_ladder_with_levels_of_another_type_is_used_as_it_is() {
    let deployment = Deployment::new().await;
    // Declared like kombu does with `broker_native_delayed_delivery_queue_type = "classic"`.
    let url = format!("{}/api/queues/{}/celery_delayed_0", deployment.servers.broker_api, deployment.vhost);
    let arguments = serde_json::json!({"x-queue-type": "classic", "x-overflow": "reject-publish", "x-message-ttl": 1000,
        "x-dead-letter-exchange": "celery_delayed_delivery"});
    let classic = serde_json::json!({"durable": true, "arguments": arguments});
    let response = deployment.http.put(url).json(&classic).send().await.unwrap();
    assert!(response.status().is_success());
    let mut ladder = Ladder::of(deployment).await;
    ladder.delay("classic", 1).await;
    ladder.comes("classic").await;
}
