//! The broker interface. A URL selects between RabbitMQ and the embedded broker.

mod amqp;
pub mod diagnostics;
mod embedded;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

pub use amqp::bus::{Account, Bus, BusEvent, BusSender, Exchange, PrivateQueue};
pub use amqp::exchange_publisher::ExchangePublisher;
pub use embedded::QUEUE_FILE;

use crate::message::Message;

/// Keeps tasks until they are done. Both brokers guarantee the same: a published message is durable, an unacknowledged
/// one is delivered again, and the broker, not the worker, holds delayed messages.
#[async_trait]
pub trait Broker: Send + Sync + fmt::Debug {
    /// Publishes a message to a queue, after a delay if one is given. `Ok` means that the broker has it on disk.
    ///
    /// A delay longer than the broker can hold (RabbitMQ: eight and a half years) is shortened to that; otherwise a
    /// message never arrives early. A task that must not run early checks the clock when its message arrives.
    ///
    /// [`PublishError::Unconfirmed`] does not mean that the message is lost: only the confirm may be missing. Publish
    /// it again; tasks must tolerate running twice.
    async fn publish(&self, queue: &str, message: &Message, delay: Duration) -> Result<(), PublishError>;

    /// Sends a message to a reply queue, such as a result to a client. It is not durable, and is dropped if the queue
    /// no longer exists.
    async fn reply(&self, queue: &str, message: &Message) -> Result<(), PublishError>;

    /// Consumes a queue until `stop`, with at most `prefetch` unsettled messages. Survives the loss of the broker:
    /// unsettled messages are then delivered again.
    async fn consume(
        &self,
        queue: &str,
        prefetch: u16,
        stop: CancellationToken,
    ) -> Result<Deliveries, BrokerError> {
        self.consume_adjustably(queue, watch::channel(prefetch).1, stop).await
    }

    /// The same with a prefetch that may change. Right after a change, messages delivered before it are not counted.
    async fn consume_adjustably(
        &self,
        queue: &str,
        prefetch: watch::Receiver<u16>,
        stop: CancellationToken,
    ) -> Result<Deliveries, BrokerError>;

    /// Access to exchanges for events and remote control; `None` if the broker has no exchanges.
    fn bus(&self) -> Option<Bus> {
        None
    }

    /// Declares what delays need, so that the first delayed message need not wait for it: a broker takes seconds to
    /// declare Celery's ladder of delay queues.
    async fn prepare_delays(&self) -> Result<(), PublishError>;

    /// How many messages are ready in a queue.
    async fn depth(&self, queue: &str) -> Result<u64, BrokerError>;

    /// How many consumers a queue has, over all processes.
    async fn consumers(&self, queue: &str) -> Result<u64, BrokerError>;

    /// Whether the broker can accept a publish now.
    fn is_ready(&self) -> bool;

    /// Whether the broker is connected. That is so even while it is short of memory and accepts no messages.
    fn is_connected(&self) -> bool;

    /// Why the broker cannot accept a publish now; `None` if it can.
    fn unready(&self) -> Option<&'static str> {
        match (self.is_connected(), self.is_ready()) {
            (false, _) => Some("there is no connection to the broker"),
            (true, false) => Some("the broker accepts no messages: it is short of memory or disk"),
            (true, true) => None,
        }
    }

    /// Closes the connections, within a few seconds. Unsettled messages are delivered to other consumers. The files of
    /// an embedded broker are complete from then on and may be copied.
    async fn close(&self);
}

/// The messages of one consumer, in the order of delivery.
pub type Deliveries = mpsc::Receiver<Delivery>;

/// The queues that must exist, each with its dead letter queue.
#[derive(Debug, Clone)]
pub struct Topology {
    /// Queues to declare; existing ones are used as they are.
    pub queues: Vec<String>,
    /// The type of queues that do not exist yet.
    pub queue_type: QueueType,
    /// How long a publish may take, from the call to the confirm.
    pub publish_timeout: Duration,
    /// The name shown in the broker's list of connections.
    pub name: String,
}

/// RabbitMQ's queue types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueType {
    /// Replicated; counts deliveries.
    Quorum,
    /// Celery's default.
    Classic,
}

/// A message in flight, which must be settled. If it is dropped unsettled, an embedded broker requeues it at once, and
/// RabbitMQ when the connection ends.
#[derive(Debug)]
pub struct Delivery {
    /// The message.
    pub message: Message,
    /// The queue it was consumed from. Not its routing key, which differs after a delay.
    pub queue: Arc<str>,
    /// How often it was delivered, this delivery included, if the broker counts; at least 2 if it was redelivered.
    pub deliveries: u32,
    settle: Settle,
}

#[derive(Debug)]
enum Settle {
    Amqp(amqp::acks::AckTag),
    Embedded(embedded::Lease),
}

/// The result of settling a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The broker has received it.
    Done,
    /// The delivery's connection was lost: the message is delivered again.
    Stale,
}

/// The cause of an error, of any type.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a message was not confirmed. Except for [`PublishError::Unconfirmed`], the broker certainly does not have it.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The message was sent, and no confirm arrived in time or before the connection was lost, or the broker answered that it
    /// cannot confirm. The message may be in its queue, or arrive there once the broker reads again.
    #[error("the broker did not confirm the message, which it may have: {0}")]
    Unconfirmed(#[source] BoxError),
    /// There is no connection to the broker, or it accepts no messages at present.
    #[error("cannot publish to the broker: {0}")]
    Unavailable(#[source] BoxError),
    /// The queue does not exist and could not be declared.
    #[error("the broker has no queue `{0}`")]
    Unroutable(String),
    /// A property, the routing key or the headers exceed this connection's limit, or the body exceeds the broker's. A
    /// retry never succeeds.
    #[error("the message is too large: {0}")]
    TooLarge(TooLarge),
}

impl PublishError {
    /// See [`PublishError::Unconfirmed`].
    pub fn unconfirmed(why: impl Into<BoxError>) -> Self {
        Self::Unconfirmed(why.into())
    }

    pub(crate) fn unavailable(why: impl Into<BoxError>) -> Self {
        Self::Unavailable(why.into())
    }
}

impl BrokerError {
    pub(crate) fn unreachable(why: impl Into<BoxError>) -> Self {
        Self::Unreachable(why.into())
    }
}

/// The part of a message that is too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooLarge {
    /// The routing key, a property or the name of a header.
    #[error("a name or property is longer than 255 bytes")]
    Name,
    /// All headers and properties together, which are sent in one frame.
    #[error("its headers need a frame of {needed} bytes, and the frame limit of the connection is {agreed}")]
    Headers {
        /// The size of the frame needed.
        needed: usize,
        /// The frame limit of this connection.
        agreed: usize,
    },
    /// The body.
    #[error("the broker accepts no body of {0} bytes (max_message_size)")]
    Body(usize),
}

/// Why a broker cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The URL names no known broker.
    #[error("expected amqp://…, amqps://… or embedded:DIR")]
    BadUrl,
    /// The broker cannot be reached, or the connection was lost.
    #[error(transparent)]
    Unreachable(BoxError),
    /// The embedded broker's files failed.
    #[error(transparent)]
    Embedded(#[from] embedded_db::DbError),
    /// The embedded broker's directory cannot be used.
    #[error(transparent)]
    Directory(#[from] embedded_db::DirectoryError),
}

/// Connects to the broker that the URL names and declares the queues.
///
/// # Errors
/// Returns an error if the broker cannot be reached within `limit`, or refuses the connection.
pub async fn connect(url: &str, topology: Topology, limit: Duration) -> Result<Arc<dyn Broker>, BrokerError> {
    if let Some(directory) = url.strip_prefix("embedded:") {
        return Ok(Arc::new(embedded::EmbeddedBroker::open(directory.as_ref())?));
    }
    if url.starts_with("amqp://") || url.starts_with("amqps://") {
        return Ok(Arc::new(amqp::AmqpBroker::connect(url, topology, limit).await?));
    }
    Err(BrokerError::BadUrl)
}

/// Connects next to the processes that use the broker: declares no queues, and shares an embedded broker's directory
/// with the process that owns it.
///
/// # Errors
/// Returns an error if the broker cannot be reached within `limit`, or refuses the connection.
pub async fn connect_beside(url: &str, name: &str, limit: Duration) -> Result<Arc<dyn Broker>, BrokerError> {
    if let Some(directory) = url.strip_prefix("embedded:") {
        return Ok(Arc::new(embedded::EmbeddedBroker::beside(directory.as_ref())?));
    }
    let topology = Topology {
        queues: Vec::new(),
        queue_type: QueueType::Quorum,
        publish_timeout: limit,
        name: name.to_owned(),
    };
    connect(url, topology, limit).await
}

impl Delivery {
    /// Acknowledges the message. Call it only after the task's effect is durable. RabbitMQ receives acknowledgements a
    /// few milliseconds later, in batches; if that fails, the message is delivered again.
    ///
    /// # Errors
    /// Returns an error if the broker cannot be reached; the message is then delivered again.
    pub async fn ack(self) -> Result<Settled, BrokerError> {
        match self.settle {
            Settle::Amqp(tag) => Ok(tag.ack()),
            Settle::Embedded(lease) => lease.ack().await,
        }
    }

    /// Acknowledges before anything else is done, for a task that must not run twice.
    ///
    /// # Errors
    /// Returns an error if the broker cannot be reached; the message is then delivered again.
    pub async fn ack_at_once(self) -> Result<Settled, BrokerError> {
        match self.settle {
            Settle::Amqp(tag) => tag.ack_at_once().await,
            Settle::Embedded(lease) => lease.ack().await,
        }
    }

    /// Requeues the message, for any consumer of the queue.
    ///
    /// # Errors
    /// Returns an error if the broker cannot be reached; the message is then delivered again without it.
    pub async fn requeue(self) -> Result<Settled, BrokerError> {
        match self.settle {
            Settle::Amqp(tag) => tag.requeue().await,
            Settle::Embedded(lease) => lease.requeue().await,
        }
    }

    /// Whether settling it no longer has any effect, because its connection was lost.
    pub fn is_stale(&self) -> bool {
        match &self.settle {
            Settle::Amqp(tag) => tag.lost().is_cancelled(),
            Settle::Embedded(_) => false,
        }
    }

    /// Waits until it is stale.
    pub async fn stale(&self) {
        match &self.settle {
            Settle::Amqp(tag) => tag.lost().cancelled().await,
            Settle::Embedded(_) => std::future::pending().await,
        }
    }
}
