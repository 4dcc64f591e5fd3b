//! RabbitMQ. Two connections a process, one to publish and one to consume, because a broker that is short of memory stops
//! reading the connections that publish, and acknowledgements must not wait behind that. Each is kept by a supervisor of
//! ours (`link.rs`); lapin's own recovery leaves confirms unanswered and can hang for ever, so it is off.

pub(super) mod bus;
mod consumer;
pub(super) mod examination;
mod link;
mod publisher;
mod table;
mod topology;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use lapin::options::{BasicAckOptions, BasicNackOptions};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Broker, BrokerError, Deliveries, PublishError, Settled, Topology};
use crate::message::Message;
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
}

impl AmqpBroker {
    pub(super) async fn connect(url: &str, topology: Topology, limit: Duration) -> Result<Self, BrokerError> {
        let link = Link::start(url, Role::Publish, &topology)?;
        link.established(limit).await.map_err(BrokerError::Unreachable)?;
        let publisher = Publisher::new(link, topology.clone());
        Ok(Self { url: url.to_owned(), topology, publisher, consuming: OnceLock::new() })
    }

    fn consuming(&self) -> Result<&Link, BrokerError> {
        if let Some(link) = self.consuming.get() {
            return Ok(link);
        }
        let link = Link::start(&self.url, Role::Consume, &self.topology)?;
        Ok(self.consuming.get_or_init(|| link))
    }

    async fn state(&self, queue: &str) -> Result<QueueState, BrokerError> {
        let unreachable = |error: String| BrokerError::Unreachable(error);
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
        Ok(consumer::start(self.consuming()?.clone(), self.topology.clone(), queue, prefetch, stop))
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
        Some(Bus { publishing, consuming, account })
    }

    fn is_ready(&self) -> bool {
        self.is_connected() && !self.publisher.is_blocked()
    }

    fn is_connected(&self) -> bool {
        self.publisher.is_connected() && self.consuming.get().is_none_or(Link::is_up)
    }

    async fn close(&self) {
        if let Some(link) = self.consuming.get() {
            link.close().await;
        }
        self.publisher.close().await;
    }
}

/// A delivery that RabbitMQ waits for an answer about.
#[derive(Debug)]
pub(super) struct Unsettled {
    /// Without its body; lapin gives out the means to settle only as part of it.
    delivery: lapin::message::Delivery,
    way: Arc<Way>,
}

/// The channel that deliveries came by. Each delivery in hand holds it: lapin closes a channel that nobody holds any
/// more, and what is unsettled on it then comes again.
#[derive(Debug)]
struct Way {
    _channel: lapin::Channel,
    /// Cancelled when nothing can be settled over it any more.
    lost: CancellationToken,
}

impl Unsettled {
    pub(super) async fn ack(self) -> Result<Settled, BrokerError> {
        settled(self.delivery.acker.ack(BasicAckOptions::default()).await)
    }

    pub(super) async fn give_back(self) -> Result<Settled, BrokerError> {
        let requeue = BasicNackOptions { requeue: true, multiple: false };
        settled(self.delivery.acker.nack(requeue).await)
    }

    pub(super) fn lost(&self) -> &CancellationToken {
        &self.way.lost
    }
}

/// lapin answers `Ok(false)` for a delivery of a connection that is gone.
fn settled(answer: lapin::Result<bool>) -> Result<Settled, BrokerError> {
    match answer {
        Ok(true) => Ok(Settled::Done),
        Ok(false) => Ok(Settled::Stale),
        Err(error) => Err(BrokerError::Unreachable(error.to_string())),
    }
}
