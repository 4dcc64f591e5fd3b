//! The queue of the platform's tasks. They have a queue of their own, because a Python worker in a mixed fleet would reject
//! tasks that it does not know.

use std::sync::Arc;
use std::time::Duration;

use task_queue::message::Headers;
use task_queue::protocol::Origin;
use task_queue::{Broker, PublishError, TaskMessage, TaskOptions};
use uuid::Uuid;

/// The name of the queue.
pub const QUEUE: &str = "voltgate.platform";

/// Publishes the platform's tasks.
#[derive(Debug, Clone)]
pub struct PlatformQueue {
    broker: Arc<dyn Broker>,
    origin: Arc<Origin>,
}

impl PlatformQueue {
    /// The queue on this broker.
    pub fn new(broker: Arc<dyn Broker>) -> Self {
        Self { broker, origin: Arc::new(Origin::new()) }
    }

    /// Publishes a task without arguments. `Ok` means that it will run.
    ///
    /// # Errors
    /// Returns an error if the broker did not confirm the message in time.
    pub async fn publish(&self, name: &'static str) -> Result<(), PublishError> {
        let message = TaskMessage {
            name,
            id: Uuid::new_v4().to_string(),
            args: Vec::new(),
            argsrepr: "()".to_owned(),
            headers: Headers::new(),
            options: TaskOptions::default(),
        };
        self.broker.publish(QUEUE, &message.encode(&self.origin), Duration::ZERO).await
    }
}
