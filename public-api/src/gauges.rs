//! Gauges of the queues' lengths. public-api reports them, because it runs even when no worker does.

use std::time::Duration;

use crate::metrics;
use ::metrics::gauge;
use authorization::AuthorizationQueue;
use task_queue::{Broker, dead_letter};

use crate::queue_age::QueueAge;

const LOOK_EVERY: Duration = Duration::from_secs(5);
/// If the broker does not answer within this, the gauges keep their values.
const LOOK_LIMIT: Duration = Duration::from_secs(2);

/// Updates the gauges every few seconds, until dropped.
pub(crate) async fn watch(queue: &AuthorizationQueue, age: &QueueAge) {
    let broker = queue.broker();
    let living = [queue.requests(), queue.callbacks()];
    let dead = living.map(dead_letter::queue_of);
    loop {
        gauge!(metrics::QUEUE_AGE).set(age.oldest().as_secs_f64());
        // Requests would pile up at a broker that reads nothing.
        if broker.is_ready() {
            let looking = async {
                for name in living.into_iter().chain(dead.iter().map(String::as_str)) {
                    look(broker.as_ref(), name).await;
                }
            };
            let _ = tokio::time::timeout(LOOK_LIMIT, looking).await;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn look(broker: &dyn Broker, queue: &str) {
    if let Ok(messages) = broker.depth(queue).await {
        gauge!(metrics::QUEUE_MESSAGES, "queue" => queue.to_owned()).set(messages as f64);
    }
    if !dead_letter::is_one(queue)
        && let Ok(consumers) = broker.consumers(queue).await
    {
        gauge!(metrics::QUEUE_CONSUMERS, "queue" => queue.to_owned()).set(consumers as f64);
    }
}
