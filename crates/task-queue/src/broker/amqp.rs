//! RabbitMQ. Each process has two connections, one to publish and one to consume: a broker that is short of memory
//! stops reading publishing connections, and acknowledgements must not wait for that. A supervisor keeps each
//! connection up (`link.rs`). lapin's own recovery is off, because it leaves confirms unanswered and can hang for ever.

pub(super) mod acks;
pub(super) mod bus;
mod consumer;
pub(super) mod diagnostics;
pub(super) mod exchange_publisher;
mod ladder;
mod link;
mod publisher;
mod table;
mod topology;

use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Broker, BrokerError, Deliveries, PublishError, Topology};
use crate::message::Message;
use acks::AckFlusher;
use bus::{Account, Bus};
use link::{Link, Role};
use publisher::Publisher;
use topology::QueueState;

#[derive(Debug)]
pub(super) struct AmqpBroker {
    url: String,
    topology: Topology,
    publisher: Publisher,
    /// Opened by the first consumer: a process that only publishes needs no second connection.
    consuming: OnceLock<Link>,
    flusher: AckFlusher,
}

impl AmqpBroker {
    pub(super) async fn connect(url: &str, topology: Topology, limit: Duration) -> Result<Self, BrokerError> {
        let link = Link::start(url, Role::Publish, &topology)?;
        link.established(limit).await.map_err(BrokerError::unreachable)?;
        let publisher = Publisher::new(link, topology.clone());
        Ok(Self {
            url: url.to_owned(),
            topology,
            publisher,
            consuming: OnceLock::new(),
            flusher: AckFlusher::default(),
        })
    }

    fn consuming(&self) -> Result<&Link, BrokerError> {
        if let Some(link) = self.consuming.get() {
            return Ok(link);
        }
        let link = Link::start(&self.url, Role::Consume, &self.topology)?;
        Ok(self.consuming.get_or_init(|| link))
    }

    async fn state(&self, queue: &str) -> Result<QueueState, BrokerError> {
        let unreachable = |error: String| BrokerError::unreachable(error);
        let session = self.publisher.session().await.map_err(|error| unreachable(error.to_string()))?;
        topology::state(&session.connection, queue).await.map_err(|error| unreachable(error.to_string()))
    }
}

#[async_trait]
impl Broker for AmqpBroker {
    async fn publish(&self, queue: &str, message: &Message, delay: Duration) -> Result<(), PublishError> {
        self.publisher.publish(queue, message, delay).await
    }

    async fn reply(&self, queue: &str, message: &Message) -> Result<(), PublishError> {
        self.publisher.reply(queue, message).await
    }

    async fn consume_adjustably(
        &self,
        queue: &str,
        prefetch: watch::Receiver<u16>,
        stop: CancellationToken,
    ) -> Result<Deliveries, BrokerError> {
        let (link, topology) = (self.consuming()?.clone(), self.topology.clone());
        Ok(consumer::start(link, topology, queue, prefetch, self.flusher.clone(), stop))
    }

    async fn prepare_delays(&self) -> Result<(), PublishError> {
        self.publisher.ensure_ladder().await
    }

    async fn depth(&self, queue: &str) -> Result<u64, BrokerError> {
        Ok(u64::from(self.state(queue).await?.ready))
    }

    async fn consumers(&self, queue: &str) -> Result<u64, BrokerError> {
        Ok(u64::from(self.state(queue).await?.consumers))
    }

    fn bus(&self) -> Option<Bus> {
        let (publishing, consuming) = (self.publisher.link().clone(), self.consuming().ok()?.clone());
        let account = Account::of(&link::parse(&self.url).ok()?);
        Some(Bus { publishing, consuming, account, publish_timeout: self.topology.publish_timeout })
    }

    fn is_ready(&self) -> bool {
        self.is_connected() && !self.publisher.is_blocked()
    }

    fn is_connected(&self) -> bool {
        self.publisher.is_connected() && self.consuming.get().is_none_or(Link::is_up)
    }

    async fn close(&self) {
        self.flusher.close().await;
        if let Some(link) = self.consuming.get() {
            link.close().await;
        }
        self.publisher.close().await;
    }
}
