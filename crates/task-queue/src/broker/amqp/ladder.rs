//! Celery's own ladder of delay queues, as kombu declares it (`native_delayed_delivery.py`).
//!
//! All workers of the broker share it, and any part of it may be deleted, or expire by a policy, while we are
//! connected. A message published to a missing level is returned as unroutable. A message that falls to a missing level
//! is held on the level above until the missing one is declared again; so each worker keeps the whole ladder complete.

use std::sync::Arc;
use std::time::Duration;

use lapin::options::{ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Connection, ExchangeKind};

use super::link::Session;
use super::topology::{DURABLE, PASSIVE, name, quorum, text};
use crate::broker::diagnostics::DELAY_LEVELS;

/// The exchange through which a delayed message returns. The queue's name is at the end of the routing key.
pub(super) const DELIVERY: &str = "celery_delayed_delivery";
/// 28 bits of seconds are eight and a half years.
pub(super) const LEVELS: u32 = DELAY_LEVELS;
/// A broker takes seconds to declare 28 quorum queues for the first time.
pub(super) const LIMIT: Duration = Duration::from_secs(30);
/// RabbitMQ does not report that a level in the middle was deleted. Declaring a queue counts as using it, so this also
/// preserves queues that a policy expires after a longer time.
const LOOK_EVERY: Duration = Duration::from_secs(20);

/// Declares the missing parts of the ladder, and binds the queues to its lowest exchange. Existing parts are used as
/// they are.
pub(super) async fn declare(connection: &Connection, queues: &[String]) -> lapin::Result<()> {
    let mut channel = connection.create_channel().await?;
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    for exchange in std::iter::once(DELIVERY.into()).chain((0..LEVELS).map(level_name)) {
        channel.exchange_declare(exchange, ExchangeKind::Topic, durable, FieldTable::default()).await?;
    }
    for level in 0..LEVELS {
        let declaring = channel.queue_declare(level_name(level), DURABLE, arguments(level));
        if let Err(error) = declaring.await {
            // Python may have declared it with another type, which holds messages too. The refusal closed the channel.
            channel = connection.create_channel().await?;
            let existing = channel.queue_declare(level_name(level), PASSIVE, FieldTable::default());
            existing.await.map_err(|_| error)?;
        }
        bind_level(&channel, level).await?;
    }
    for queue in queues {
        bind(&channel, queue).await?;
    }
    channel.close(200, "declared".into()).await
}

/// Keeps the ladder complete until the session ends.
pub(super) async fn keep(session: Arc<Session>, queues: Vec<String>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = session.lost.cancelled() => return,
        }
        let restoring = async {
            let missing = missing(&session.connection).await?;
            if !missing.is_empty() {
                tracing::warn!(
                    queues = missing.join(" "),
                    "delay queues were deleted or expired with their messages; declaring them again"
                );
            }
            declare(&session.connection, &queues).await
        };
        match tokio::time::timeout(LIMIT, restoring).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the delay queues cannot be checked"),
            Err(_) => tracing::warn!("the delay queues cannot be checked: no answer within {LIMIT:?}"),
        }
    }
}

/// The queues of the ladder that do not exist.
pub(super) async fn missing(connection: &Connection) -> lapin::Result<Vec<String>> {
    let mut channel = connection.create_channel().await?;
    let mut missing = Vec::new();
    for level in 0..LEVELS {
        if channel.queue_declare(level_name(level), PASSIVE, FieldTable::default()).await.is_err() {
            missing.push(level_name(level).as_str().to_owned());
            channel = connection.create_channel().await?;
        }
    }
    channel.close(200, "asked".into()).await?;
    Ok(missing)
}

/// Whether there is a ladder, judged by its lowest exchange.
pub(super) async fn exists(connection: &Connection) -> lapin::Result<bool> {
    has_exchange(connection, &DELIVERY.into()).await
}

pub(super) async fn has_exchange(connection: &Connection, name: &ShortString) -> lapin::Result<bool> {
    let channel = connection.create_channel().await?;
    let passive = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
    let asking = channel.exchange_declare(name.clone(), ExchangeKind::Topic, passive, FieldTable::default());
    if asking.await.is_err() {
        return Ok(false);
    }
    channel.close(200, "asked".into()).await?;
    Ok(true)
}

/// Binds a queue that may have been declared again, so that messages still on the ladder reach it. Without a ladder
/// there is nothing to bind it to.
pub(super) async fn rejoin(connection: &Connection, queue: &str) -> lapin::Result<()> {
    if !exists(connection).await? {
        return Ok(());
    }
    let channel = connection.create_channel().await?;
    bind(&channel, queue).await?;
    channel.close(200, "bound".into()).await
}

/// kombu refuses native delays for a queue bound to a direct exchange. Binding the queue itself makes them work there
/// too.
async fn bind(channel: &Channel, queue: &str) -> lapin::Result<()> {
    let key = name(&format!("#.{queue}"))?;
    let options = QueueBindOptions::default();
    channel.queue_bind(queue.into(), DELIVERY.into(), key, options, FieldTable::default()).await
}

/// Level i: a message whose bit i is set waits in the level's queue and then expires to the level below; any other
/// passes at once.
async fn bind_level(channel: &Channel, level: u32) -> lapin::Result<()> {
    let above = "*.".repeat((LEVELS - 1 - level) as usize);
    let (set, clear) = (
        ShortString::from(format!("{above}1.#").as_str()),
        ShortString::from(format!("{above}0.#").as_str()),
    );
    let name = level_name(level);
    channel
        .queue_bind(name.clone(), name.clone(), set, QueueBindOptions::default(), FieldTable::default())
        .await?;
    let options = ExchangeBindOptions::default();
    channel.exchange_bind(below(level), name, clear, options, FieldTable::default()).await
}

/// The arguments of a level's queue, exact to the width of each number.
pub(super) fn arguments(level: u32) -> FieldTable {
    let mut arguments = quorum();
    arguments.insert("x-overflow".into(), text("reject-publish"));
    arguments.insert("x-message-ttl".into(), milliseconds(level));
    arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
    arguments.insert("x-dead-letter-exchange".into(), text(below(level).as_str()));
    arguments
}

fn below(level: u32) -> ShortString {
    level.checked_sub(1).map_or_else(|| DELIVERY.into(), level_name)
}

/// Where a message enters the ladder, and its routing key: the seconds as 28 bits, then the queue. kombu publishes at
/// the top, from where a message passes down to the first level whose bit is set. Each of those levels costs RabbitMQ
/// as much as routing a new message (three seconds: 6 ms of its CPU from the top, 1 ms from level 1).
pub(super) fn route(queue: &str, seconds: u64) -> (ShortString, String) {
    let seconds = seconds.min((1 << LEVELS) - 1);
    let bits: String =
        (0..LEVELS).rev().map(|bit| if seconds >> bit & 1 == 1 { "1." } else { "0." }).collect();
    let first = seconds.checked_ilog2().unwrap_or(0);
    (level_name(first), format!("{bits}{queue}"))
}

/// The name of a level's exchange and of its queue.
pub(super) fn level_name(level: u32) -> ShortString {
    ShortString::from(format!("celery_delayed_{level}").as_str())
}

/// 2^level seconds, in the integer width that kombu sends: 32 bits where they fit.
fn milliseconds(level: u32) -> AMQPValue {
    let ttl = (1i64 << level) * 1000;
    i32::try_from(ttl).map_or(AMQPValue::LongLongInt(ttl), AMQPValue::LongInt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_spelt_as_kombu_spells_it() {
        // As captured from Celery: a delay of five seconds to the queue `celery`.
        let (exchange, key) = route("celery", 5);
        assert_eq!(key, "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.1.celery");
        assert_eq!(exchange.as_str(), "celery_delayed_2", "the first level at which it waits");
    }

    #[test]
    fn a_delay_beyond_the_ladder_is_its_longest() {
        let (exchange, key) = route("q", u64::MAX);
        assert_eq!((exchange.as_str(), key), ("celery_delayed_27", format!("{}q", "1.".repeat(28))));
        assert_eq!(route("q", 0).0.as_str(), "celery_delayed_0");
    }
}
