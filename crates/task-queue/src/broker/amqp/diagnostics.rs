//! Examines RabbitMQ without changing it. It uses a connection and channels of its own, because a refused request
//! closes its channel.

use std::time::{Duration, Instant};

use lapin::options::{BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Connection, ConnectionProperties};

use super::{ladder, link, topology};
use crate::broker::BrokerError;
use crate::broker::diagnostics::{BrokerFacts, DelayFacts, LadderFacts, QueueFacts, QueueState};

/// For a message to the broker and back.
const ROUND_TRIP_LIMIT: Duration = Duration::from_secs(3);

pub(in crate::broker) async fn examine(
    url: &str,
    queues: &[String],
    limit: Duration,
) -> Result<BrokerFacts, BrokerError> {
    let uri = link::parse(url)?;
    let unreachable = |error: lapin::Error| BrokerError::unreachable(error);
    let properties = ConnectionProperties::default().with_connection_name("diagnostics".into());
    let connecting = tokio::time::timeout(limit, Connection::connect_uri(uri, properties)).await;
    let connection = connecting
        .map_err(|_| BrokerError::unreachable(format!("no answer within {limit:?}")))?
        .map_err(unreachable)?;
    let looking = look(&connection, queues);
    let looked = tokio::time::timeout(limit + ROUND_TRIP_LIMIT, looking).await;
    let _ = tokio::time::timeout(ROUND_TRIP_LIMIT, connection.close(200, "examined".into())).await;
    looked.map_err(|_| BrokerError::unreachable("it stopped answering".to_owned()))
}

async fn look(connection: &Connection, queues: &[String]) -> BrokerFacts {
    let mut facts = Vec::new();
    for name in queues {
        facts.push(QueueFacts { name: name.clone(), state: state(connection, name).await.ok() });
    }
    let delays = match ladder(connection).await {
        Ok(None) => DelayFacts::NoLadder,
        Ok(Some(ladder)) => DelayFacts::Ladder(ladder),
        Err(error) => DelayFacts::Unknown(error.to_string()),
    };
    let round_trip = match tokio::time::timeout(ROUND_TRIP_LIMIT, round_trip(connection)).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no confirm within {ROUND_TRIP_LIMIT:?}")),
    };
    let blocked = connection.status().blocked();
    BrokerFacts { product: "an AMQP broker", queues: facts, delays, round_trip, blocked }
}

async fn state(connection: &Connection, queue: &str) -> lapin::Result<QueueState> {
    let found = topology::state(connection, queue).await?;
    let kind = kind(connection, queue).await;
    Ok(QueueState { messages: found.ready.into(), consumers: Some(found.consumers.into()), kind })
}

/// Declaring an existing queue again changes nothing: the broker accepts it, or answers with the difference (406).
async fn kind(connection: &Connection, queue: &str) -> Option<&'static str> {
    let channel = connection.create_channel().await.ok()?;
    match channel.queue_declare(queue.into(), topology::DURABLE, topology::quorum()).await {
        Ok(_) => Some("quorum"),
        Err(error) if error.to_string().contains("'x-queue-type'") => Some("classic"),
        Err(_) => None,
    }
}

/// `None` if there is no ladder. AMQP does not show the policies that apply to it, nor its bindings.
async fn ladder(connection: &Connection) -> lapin::Result<Option<LadderFacts>> {
    if !ladder::exists(connection).await? {
        return Ok(None);
    }
    let mut facts = LadderFacts::default();
    for level in 0..ladder::LEVELS {
        let name = ladder::level_name(level);
        if !ladder::has_exchange(connection, &name).await? {
            facts.missing.push(format!("exchange {name}"));
        }
        let Ok(state) = topology::state(connection, name.as_str()).await else {
            facts.missing.push(format!("queue {name}"));
            continue;
        };
        facts.messages += u64::from(state.ready);
        let channel = connection.create_channel().await?;
        // As in `kind`: the queue exists, so the broker accepts the declaration or answers with the difference.
        if let Err(error) =
            channel.queue_declare(name.clone(), topology::DURABLE, ladder::arguments(level)).await
        {
            facts.different.push(format!("queue {name}: {error}"));
        }
    }
    Ok(Some(facts))
}

/// Through a queue that is deleted with the connection. A broker with an alarm stops reading when it receives the
/// publish.
async fn round_trip(connection: &Connection) -> lapin::Result<Duration> {
    let began = Instant::now();
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let fleeting =
        QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
    let queue = channel.queue_declare("".into(), fleeting, FieldTable::default()).await?;
    let name = ShortString::from(queue.name().as_str());
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    channel
        .basic_publish("".into(), name.clone(), options, b"diagnostics", BasicProperties::default())
        .await?
        .await?;
    channel.basic_get(name, BasicGetOptions { no_ack: true }).await?;
    Ok(began.elapsed())
}
