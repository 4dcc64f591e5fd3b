//! What a broker is to us, and the one place where a URL chooses between the two.

mod amqp;
pub mod diagnostics;
mod embedded;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

pub use amqp::bus::{Account, Bus, BusSender, Exchange, Heard, PrivateQueue};
pub use embedded::QUEUE_FILE;

use crate::message::Message;

/// Keeps tasks until they are done. Both kinds promise the same: what was published is durable, what was not
/// acknowledged comes back, and a delay is the broker's to keep, not the worker's.
#[async_trait]
pub trait Broker: Send + Sync + fmt::Debug {
    /// Puts a message into a queue, after a delay where one is given. `Ok` means that the broker has it on disk.
    ///
    /// A delay may be cut to what the broker can hold (RabbitMQ: eight and a half years), and is never shorter otherwise.
    /// Whoever must not be early looks at the clock when the message comes.
    ///
    /// [`PublishError::Unconfirmed`] does not mean that it has it not: only the confirm may be missing. Publishing again is
    /// right, and the tasks must bear being run twice.
    async fn publish(&self, queue: &str, message: &Message, delay: Duration) -> Result<(), PublishError>;

    /// Sends a message to a queue that somebody may be waiting at, such as a client for a result. It is not kept, and
    /// lost where nobody waits any more.
    async fn reply(&self, queue: &str, message: &Message) -> Result<(), PublishError>;

    /// Takes messages from a queue until `stop`, at most `prefetch` of them not yet settled. Survives the loss of the
    /// broker: messages then come again.
    async fn consume(
        &self,
        queue: &str,
        prefetch: u16,
        stop: CancellationToken,
    ) -> Result<Deliveries, BrokerError> {
        self.consume_adjustably(queue, watch::channel(prefetch).1, stop).await
    }

    /// The same with a prefetch that may change meanwhile. Right after a change the messages of before it are not counted.
    async fn consume_adjustably(
        &self,
        queue: &str,
        prefetch: watch::Receiver<u16>,
        stop: CancellationToken,
    ) -> Result<Deliveries, BrokerError>;

    /// The way to exchanges, which events and remote control go by; nothing where there are none.
    fn bus(&self) -> Option<Bus> {
        None
    }

    /// Makes what delays need, so that the first one need not wait for it: a broker takes seconds to declare Celery's
    /// ladder of delay queues.
    async fn prepare_delays(&self) -> Result<(), PublishError>;

    /// How many messages wait in a queue.
    async fn depth(&self, queue: &str) -> Result<u64, BrokerError>;

    /// How many consumers take from a queue, whosever they are.
    async fn consumers(&self, queue: &str) -> Result<u64, BrokerError>;

    /// Whether a publish would have a chance now.
    fn is_ready(&self) -> bool;

    /// Whether the broker is there at all. One that is short of memory is, although it takes nothing for now.
    fn is_connected(&self) -> bool;

    /// Says goodbye, within a few seconds. What was not settled comes back to others. The files of an embedded one are whole
    /// from then on, and may be copied.
    async fn close(&self);
}

/// The messages of one consumer, in the order in which the broker gives them.
pub type Deliveries = mpsc::Receiver<Delivery>;

/// The queues that must exist, each with its dead letters beside it.
#[derive(Debug, Clone)]
pub struct Topology {
    /// Queues to be declared; an existing one is used as it is.
    pub queues: Vec<String>,
    /// The type of those that do not exist yet.
    pub queue_type: QueueType,
    /// How long a publish may take, from the call to the confirm.
    pub publish_timeout: Duration,
    /// Shown in the broker's list of connections.
    pub name: String,
}

/// RabbitMQ's queue types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueType {
    /// Replicated; counts its deliveries.
    Quorum,
    /// What Celery declares unless told otherwise.
    Classic,
}

/// One message in flight. It must be settled; when it is dropped instead, an embedded broker gives it back at once, and
/// RabbitMQ when the connection ends.
#[derive(Debug)]
pub struct Delivery {
    /// The message.
    pub message: Message,
    /// The queue it was taken from. Not its routing key: that differs once it was delayed.
    pub queue: Arc<str>,
    /// How often it was handed out, this time included, where the broker counts; at least 2 when it came back.
    pub deliveries: u32,
    settle: Settle,
}

#[derive(Debug)]
enum Settle {
    Amqp(amqp::acks::AckTag),
    Embedded(embedded::Lease),
}

/// What became of a settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The broker has it.
    Done,
    /// The delivery belonged to a connection that is gone: the message comes again.
    Stale,
}

/// Why there is no confirm of a message. But for [`PublishError::Unconfirmed`] the broker certainly has not got it.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The message was given to the connection, and no confirm came: in time, or before the connection was lost. It may be
    /// in its queue all the same, or come there once the broker reads again.
    #[error("the broker did not confirm the message, which it may have: {0}")]
    Unconfirmed(String),
    /// There is no connection to the broker now, or it takes nothing for now.
    #[error("the broker cannot be published to: {0}")]
    Unavailable(String),
    /// The queue does not exist and could not be made.
    #[error("the broker has no queue `{0}`")]
    Unroutable(String),
    /// The broker refused it, because the queue is full or has lost its leader. That may heal.
    #[error("the broker refused the message: the queue is full, or has lost its leader")]
    Refused,
    /// A property, the routing key or the headers are larger than this connection carries, or the body than this broker
    /// takes. That never heals.
    #[error("it is too large: {0}")]
    TooLarge(TooLarge),
}

/// What of a message is too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooLarge {
    /// The routing key, a property or the name of a header.
    #[error("a name or property is longer than 255 bytes")]
    Name,
    /// All headers and properties together, which go in one frame.
    #[error("its headers need a frame of {needed} bytes, and the broker agreed to {agreed}")]
    Headers {
        /// The size of that frame.
        needed: usize,
        /// The largest frame of this connection.
        agreed: usize,
    },
    /// The body.
    #[error("the broker takes no body of {0} bytes (max_message_size)")]
    Body(usize),
}

/// Why a broker cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The URL is of no kind that we know.
    #[error("expected amqp://…, amqps://… or embedded:DIR")]
    BadUrl,
    /// It cannot be reached, or was lost.
    #[error("{0}")]
    Unreachable(String),
    /// The embedded one's files failed.
    #[error(transparent)]
    Embedded(#[from] embedded_db::DbError),
    /// The embedded one's directory cannot be used.
    #[error(transparent)]
    Directory(#[from] embedded_db::DirectoryError),
}

/// Connects to the broker that the URL names and makes the queues.
///
/// # Errors
/// It cannot be reached within `limit`, or refuses.
pub async fn connect(url: &str, topology: Topology, limit: Duration) -> Result<Arc<dyn Broker>, BrokerError> {
    if let Some(directory) = url.strip_prefix("embedded:") {
        return Ok(Arc::new(embedded::EmbeddedBroker::open(directory.as_ref())?));
    }
    if url.starts_with("amqp://") || url.starts_with("amqps://") {
        return Ok(Arc::new(amqp::AmqpBroker::connect(url, topology, limit).await?));
    }
    Err(BrokerError::BadUrl)
}

/// Connects beside the processes that work with the broker: makes no queues, and shares an embedded directory with the
/// process that it belongs to.
///
/// # Errors
/// It cannot be reached within `limit`, or refuses.
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
    /// The message is done. Only after its effect is durable. RabbitMQ is told a few milliseconds later, of several at a
    /// time; if that fails, the message comes again.
    ///
    /// # Errors
    /// The broker could not be told; the message comes again.
    pub async fn ack(self) -> Result<Settled, BrokerError> {
        match self.settle {
            Settle::Amqp(tag) => Ok(tag.ack()),
            Settle::Embedded(lease) => lease.ack().await,
        }
    }

    /// Tells the broker before anything else is done, for what must not run twice.
    ///
    /// # Errors
    /// The broker could not be told; the message comes again.
    pub async fn ack_at_once(self) -> Result<Settled, BrokerError> {
        match self.settle {
            Settle::Amqp(tag) => tag.ack_at_once().await,
            Settle::Embedded(lease) => lease.ack().await,
        }
    }

    /// Puts the message back, for whoever takes it next.
    ///
    /// # Errors
    /// The broker could not be told; the message comes again by itself.
    pub async fn requeue(self) -> Result<Settled, BrokerError> {
        match self.settle {
            Settle::Amqp(tag) => tag.requeue().await,
            Settle::Embedded(lease) => lease.requeue().await,
        }
    }

    /// Whether settling it has no effect any more, because the connection it came by is gone.
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
