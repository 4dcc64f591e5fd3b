//! Queues, their dead letters, and Celery's own ladder of delay queues.
//!
//! Whatever a Celery client declares too must be declared identically, or the broker refuses the second of the two (406).

use lapin::options::{ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use lapin::{Channel, Connection, ErrorKind, ExchangeKind};

use crate::broker::{QueueType, Topology};
use crate::dead_letter;

/// The exchange through which a delayed message comes back, by the queue's name at the end of its routing key.
pub(super) const DELIVERY: &str = "celery_delayed_delivery";
/// Levels of the ladder; level i holds a message for 2^i seconds. 28 bits are eight and a half years.
const LEVELS: u32 = 28;

pub(super) const DURABLE: QueueDeclareOptions = QueueDeclareOptions {
    passive: false,
    durable: true,
    exclusive: false,
    auto_delete: false,
    nowait: false,
};
/// Asks after a queue and never makes it.
const PASSIVE: QueueDeclareOptions = QueueDeclareOptions { passive: true, ..DURABLE };

/// Makes every queue that does not exist yet, each with the queue of its dead letters.
pub(super) async fn declare_queues(connection: &Connection, topology: &Topology) -> lapin::Result<()> {
    for queue in &topology.queues {
        declare_queue(connection, queue, topology.queue_type).await?;
        declare_queue(connection, &dead_letter::queue_of(queue), topology.queue_type).await?;
    }
    Ok(())
}

/// An existing queue is used as it is. Asking after one that does not exist ends the channel, so each gets its own.
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
        // Dead letters are looked at and put back; RabbitMQ 4 would drop them at the twentieth time.
        arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(i32::MAX));
    }
    channel.queue_declare(queue.into(), DURABLE, arguments).await?;
    channel.close(200, "declared".into()).await
}

/// What the broker says of a queue, without changing it.
pub(super) struct QueueState {
    /// Messages that wait.
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

/// Declares the ladder as kombu does (`native_delayed_delivery.py`), and binds the queues to its foot.
pub(super) async fn declare_ladder(connection: &Connection, queues: &[String]) -> lapin::Result<()> {
    let channel = connection.create_channel().await?;
    let topic = |name: ShortString| {
        let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        channel.exchange_declare(name, ExchangeKind::Topic, durable, FieldTable::default())
    };
    topic(DELIVERY.into()).await?;
    for level in 0..LEVELS {
        topic(level_name(level)).await?;
    }
    for level in 0..LEVELS {
        declare_level(&channel, level).await?;
    }
    for queue in queues {
        bind_to_ladder(&channel, queue).await?;
    }
    channel.close(200, "declared".into()).await
}

/// Binds a queue that may have been made anew, so that what is still on the ladder finds it. Without a ladder there is
/// nothing to bind it to.
pub(super) async fn rejoin_ladder(connection: &Connection, queue: &str) -> lapin::Result<()> {
    let channel = connection.create_channel().await?;
    let passive = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
    if channel
        .exchange_declare(DELIVERY.into(), ExchangeKind::Topic, passive, FieldTable::default())
        .await
        .is_err()
    {
        return Ok(());
    }
    bind_to_ladder(&channel, queue).await?;
    channel.close(200, "bound".into()).await
}

/// kombu refuses native delays for a queue behind a direct exchange; binding the queue itself makes them work there too.
async fn bind_to_ladder(channel: &Channel, queue: &str) -> lapin::Result<()> {
    let key = name(&format!("#.{queue}"))?;
    channel
        .queue_bind(queue.into(), DELIVERY.into(), key, QueueBindOptions::default(), FieldTable::default())
        .await
}

/// Level i: a message whose bit i is set waits in its queue and expires to the level below; any other passes at once.
async fn declare_level(channel: &Channel, level: u32) -> lapin::Result<()> {
    let below = if level == 0 { ShortString::from(DELIVERY) } else { level_name(level - 1) };
    let mut arguments = quorum();
    arguments.insert("x-overflow".into(), text("reject-publish"));
    arguments.insert("x-message-ttl".into(), milliseconds(level));
    arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
    arguments.insert("x-dead-letter-exchange".into(), text(below.as_str()));
    channel.queue_declare(level_name(level), DURABLE, arguments).await?;
    let above = "*.".repeat((LEVELS - 1 - level) as usize);
    let (set, clear) = (
        ShortString::from(format!("{above}1.#").as_str()),
        ShortString::from(format!("{above}0.#").as_str()),
    );
    let name = level_name(level);
    channel
        .queue_bind(name.clone(), name.clone(), set, QueueBindOptions::default(), FieldTable::default())
        .await?;
    channel.exchange_bind(below, name, clear, ExchangeBindOptions::default(), FieldTable::default()).await
}

/// Where a message enters the ladder, and the key that leads it down: the seconds as 28 bits, then the queue. kombu enters
/// at the top, from where it would pass without waiting to the first level whose bit is set; each of these passages costs
/// RabbitMQ as much as routing anew does (three seconds: 6 ms of its CPU from the top, 1 ms from level 1).
pub(super) fn delayed_route(queue: &str, seconds: u64) -> (ShortString, String) {
    let seconds = seconds.min((1 << LEVELS) - 1);
    let bits: String =
        (0..LEVELS).rev().map(|bit| if seconds >> bit & 1 == 1 { "1." } else { "0." }).collect();
    let first = seconds.checked_ilog2().unwrap_or(0);
    (level_name(first), format!("{bits}{queue}"))
}

fn level_name(level: u32) -> ShortString {
    ShortString::from(format!("celery_delayed_{level}").as_str())
}

/// 2^level seconds, in the width in which kombu sends them: 32 bits where they fit.
fn milliseconds(level: u32) -> AMQPValue {
    let ttl = (1i64 << level) * 1000;
    i32::try_from(ttl).map_or(AMQPValue::LongLongInt(ttl), AMQPValue::LongInt)
}

pub(super) fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("quorum"));
    arguments
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(LongString::from(value))
}

/// A name as AMQP carries it, where it is not longer than 255 bytes.
pub(super) fn name(name: &str) -> lapin::Result<ShortString> {
    let too_long = || std::io::Error::other(format!("the name {name:.64}… is too long"));
    ShortString::try_new(name.to_owned()).map_err(|_| ErrorKind::IOError(too_long().into()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_spelt_as_kombu_spells_it() {
        // From celery-wire.md's captures: five seconds to the queue `celery`.
        let (exchange, key) = delayed_route("celery", 5);
        assert_eq!(key, "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.1.celery");
        assert_eq!(exchange.as_str(), "celery_delayed_2", "the first level at which it waits");
    }

    #[test]
    fn a_delay_beyond_the_ladder_is_its_longest() {
        let (exchange, key) = delayed_route("q", u64::MAX);
        assert_eq!((exchange.as_str(), key), ("celery_delayed_27", format!("{}q", "1.".repeat(28))));
        assert_eq!(delayed_route("q", 0).0.as_str(), "celery_delayed_0");
    }
}
