//! Queues and their dead letter queues.
//!
//! A queue that Celery clients declare too must be declared identically, or the broker refuses the second declaration
//! (406).

use lapin::options::QueueDeclareOptions;
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use lapin::{Connection, ErrorKind};

use crate::broker::{QueueType, Topology};
use crate::dead_letter;

pub(super) const DURABLE: QueueDeclareOptions = QueueDeclareOptions {
    passive: false,
    durable: true,
    exclusive: false,
    auto_delete: false,
    nowait: false,
};
/// Checks for a queue without declaring it.
pub(super) const PASSIVE: QueueDeclareOptions = QueueDeclareOptions { passive: true, ..DURABLE };

/// Declares every queue that does not exist yet, each with its dead letter queue.
pub(super) async fn declare_queues(connection: &Connection, topology: &Topology) -> lapin::Result<()> {
    for queue in &topology.queues {
        declare_queue(connection, queue, topology.queue_type).await?;
        declare_queue(connection, &dead_letter::queue_of(queue), topology.queue_type).await?;
    }
    Ok(())
}

/// An existing queue is used as it is. Checking for one that does not exist closes the channel, so each check gets its
/// own.
pub(super) async fn declare_queue(
    connection: &Connection,
    queue: &str,
    kind: QueueType,
) -> lapin::Result<()> {
    let asking = connection.create_channel().await?;
    if asking.queue_declare(queue.into(), PASSIVE, FieldTable::default()).await.is_ok() {
        return asking.close(200, "asked".into()).await;
    }
    let channel = connection.create_channel().await?;
    let mut arguments = match kind {
        QueueType::Quorum => quorum(),
        QueueType::Classic => FieldTable::default(),
    };
    if kind == QueueType::Quorum && dead_letter::is_one(queue) {
        // Dead letters are read and requeued; RabbitMQ 4 would drop them at the twentieth time.
        arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(i32::MAX));
    }
    channel.queue_declare(queue.into(), DURABLE, arguments).await?;
    channel.close(200, "declared".into()).await
}

/// The broker's state of a queue, read without changing it.
pub(super) struct QueueState {
    /// Ready messages.
    pub(super) ready: u32,
    /// Consumers of all processes.
    pub(super) consumers: u32,
}

pub(super) async fn state(connection: &Connection, queue: &str) -> lapin::Result<QueueState> {
    let channel = connection.create_channel().await?;
    let found = channel.queue_declare(queue.into(), PASSIVE, FieldTable::default()).await?;
    channel.close(200, "asked".into()).await?;
    Ok(QueueState { ready: found.message_count(), consumers: found.consumer_count() })
}

pub(super) fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("quorum"));
    arguments
}

pub(super) fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(LongString::from(value))
}

/// A name as an AMQP short string. Returns an error if it is longer than 255 bytes.
pub(super) fn name(name: &str) -> lapin::Result<ShortString> {
    let too_long = || std::io::Error::other(format!("the name {name:.64}… is too long"));
    ShortString::try_new(name.to_owned()).map_err(|_| ErrorKind::IOError(too_long().into()).into())
}
