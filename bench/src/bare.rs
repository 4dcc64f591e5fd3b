//! The bare broker: messages made by public-api, published with confirms to a quorum queue and consumed with
//! acknowledgements, and nothing else. No system on this broker can be faster.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures_util::{FutureExt, StreamExt};
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
    QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable, LongString};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, PublisherConfirm};
use load_generator::{Connection as Http, Drivers, FrontDoor, Origin, SINK_THREAD};
use serde::Serialize;

use crate::cpu::{self, Part};
use crate::servers::Servers;
use crate::system::voltgate::{Form, services};

const QUEUE: &str = "celery";
/// Number of messages taken from public-api, to be published again and again.
const SAMPLES: u64 = 200;
/// Maximum number of unconfirmed messages.
pub const UNCONFIRMED: usize = 1000;
/// Maximum number of messages acknowledged together; fewer if no others have arrived.
const ACKNOWLEDGED_TOGETHER: usize = 50;
const LIMIT: Duration = Duration::from_secs(30);
/// Number and interval of messages published one at a time: almost no load.
const ALONE: usize = 150;
const ALONE_EVERY: Duration = Duration::from_millis(20);

/// A message as it was on the wire.
#[derive(Debug, Clone)]
pub struct Sample {
    properties: BasicProperties,
    body: Vec<u8>,
}

/// The result of the bare broker.
#[derive(Debug, Clone, Serialize)]
pub struct Bare {
    /// Number of messages published and consumed.
    pub messages: u64,
    /// Messages per second.
    pub per_second: f64,
    /// CPU time of each part, in microseconds for each message.
    pub cpu_us: BTreeMap<String, f64>,
    /// Unloaded, from a publish to its confirm: p50 and p99. No 202 on this broker comes sooner.
    pub confirm_ms: (f64, f64),
}

/// Lets public-api publish messages, and takes them off its queue.
///
/// # Errors
/// Returns an error if it does not start, or refuses.
pub async fn samples(servers: &Servers) -> Result<Vec<Sample>> {
    // Without a worker they would soon expire and be refused.
    let patient = vec![("AUTHORIZATION_TIMEOUT_SEC", "3600".to_owned())];
    let system = services(servers, &Form { settings: patient, ..Form::default() }).await?;
    let api = Origin::parse(&system.api)?;
    let mut http = Http::to(api.clone());
    let sink = ([127, 0, 0, 1], 9000).into();
    let front_door = FrontDoor { api, key: None, drivers: Drivers::default(), sink, hosts: 1 };
    for number in 0..SAMPLES {
        let answer = http.exchange(front_door.authorize(number).as_bytes()).await?;
        if answer.status != 202 {
            bail!("public-api answers {}: {}", answer.status, String::from_utf8_lossy(answer.body));
        }
    }
    let broker = format!("{}/voltgate", servers.rabbitmq.amqp_url());
    let channel = connect(&broker).await?.create_channel().await?;
    let mut consumer = consume(&channel, u16::try_from(SAMPLES)?).await?;
    let mut samples = Vec::new();
    while samples.len() < usize::try_from(SAMPLES)? {
        let next = tokio::time::timeout(LIMIT, consumer.next()).await?.context("the queue went away")??;
        samples.push(Sample { properties: next.properties.clone(), body: next.data });
    }
    Ok(samples)
}

/// Publishes for `duration` and consumes all messages.
///
/// # Errors
/// Returns an error if the broker does not answer or does not confirm.
pub async fn run(servers: &Servers, samples: Vec<Sample>, prefetch: u16, duration: Duration) -> Result<Bare> {
    let url = servers.emptied("bare").await?;
    // Two connections, like a producer and a worker.
    let (publishing, consuming) = (connect(&url).await?, connect(&url).await?);
    let publisher = publishing.create_channel().await?;
    declare(&publisher).await?;
    publisher.confirm_select(ConfirmSelectOptions::default()).await?;
    let channel = consuming.create_channel().await?;
    let parts = [
        ("publisher and consumer".to_owned(), Part::OursWithout(SINK_THREAD)),
        ("RabbitMQ".to_owned(), Part::Named("beam.smp")),
    ];
    let before = cpu::used(&parts);
    let (tell, told) = tokio::sync::oneshot::channel();
    let consumed = tokio::spawn(consume_all(channel, prefetch, told));
    let began = Instant::now();
    let publishing = tokio::spawn(async move {
        let published = publish(&publisher, &samples, began + duration).await;
        published.map(|published| (published, publisher, samples))
    });
    let (published, publisher, samples) = publishing.await??;
    // The consumer continues until it has seen this many.
    let _ = tell.send(published);
    let took = consumed.await??.duration_since(began);
    let cpu_us = cpu::per_request(&before, &cpu::used(&parts), published);
    let per_second = published as f64 / took.as_secs_f64();
    Ok(Bare { messages: published, per_second, cpu_us, confirm_ms: alone(&publisher, &samples).await? })
}

async fn publish(channel: &Channel, samples: &[Sample], until: Instant) -> Result<u64> {
    let mut unconfirmed = VecDeque::with_capacity(UNCONFIRMED);
    let mut published = 0;
    for sample in samples.iter().cycle() {
        if Instant::now() >= until {
            break;
        }
        while unconfirmed.len() >= UNCONFIRMED
            && let Some(first) = unconfirmed.pop_front()
        {
            confirmed(first).await?;
        }
        unconfirmed.push_back(sample.publish(channel).await?);
        published += 1;
    }
    while let Some(confirm) = unconfirmed.pop_front() {
        confirmed(confirm).await?;
    }
    Ok(published)
}

async fn alone(channel: &Channel, samples: &[Sample]) -> Result<(f64, f64)> {
    let mut took = Vec::with_capacity(ALONE);
    let mut ticks = tokio::time::interval(ALONE_EVERY);
    for sample in samples.iter().cycle().take(ALONE) {
        ticks.tick().await;
        let began = Instant::now();
        confirmed(sample.publish(channel).await?).await?;
        took.push(began.elapsed().as_secs_f64() * 1e3);
    }
    took.sort_by(f64::total_cmp);
    Ok((took[ALONE / 2], took[ALONE * 99 / 100]))
}

impl Sample {
    async fn publish(&self, channel: &Channel) -> lapin::Result<PublisherConfirm> {
        self.publish_with(channel, &self.body).await
    }

    /// Publishes it with its headers and properties and another body.
    pub(crate) async fn publish_with(
        &self,
        channel: &Channel,
        body: &[u8],
    ) -> lapin::Result<PublisherConfirm> {
        let mandatory = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let properties = self.properties.clone();
        channel.basic_publish("".into(), QUEUE.into(), mandatory, body, properties).await
    }
}

pub(crate) async fn confirmed(confirm: impl Future<Output = lapin::Result<Confirmation>>) -> Result<()> {
    match tokio::time::timeout(LIMIT, confirm).await?? {
        Confirmation::Ack(None) => Ok(()),
        other => bail!("the broker did not confirm: {other:?}"),
    }
}

/// Consumes until it has seen the announced number of messages; returns when the last one arrived.
async fn consume_all(
    channel: Channel,
    prefetch: u16,
    mut told: tokio::sync::oneshot::Receiver<u64>,
) -> Result<Instant> {
    let mut consumer = consume(&channel, prefetch).await?;
    let (mut seen, mut wanted) = (0u64, None);
    loop {
        let delivery = tokio::select! {
            biased;
            next = consumer.next() => next.context("the queue went away")??,
            all = &mut told, if wanted.is_none() => {
                wanted = Some(all.context("publishing failed")?);
                if wanted == Some(seen) { break }
                continue;
            }
            () = tokio::time::sleep(LIMIT) => bail!("{seen} messages came and no more within {LIMIT:?}"),
        };
        let mut last = delivery;
        seen += 1;
        for _ in 1..ACKNOWLEDGED_TOGETHER {
            // Only messages that have already arrived; waiting for more would hold up the broker.
            let Some(next) = consumer.next().now_or_never() else { break };
            last = next.context("the queue went away")??;
            seen += 1;
        }
        last.acker.ack(BasicAckOptions { multiple: true }).await?;
        if Some(seen) == wanted {
            break;
        }
    }
    Ok(Instant::now())
}

pub(crate) async fn consume(channel: &Channel, prefetch: u16) -> Result<lapin::Consumer> {
    channel.basic_qos(prefetch, BasicQosOptions { global: false }).await?;
    let options = BasicConsumeOptions::default();
    Ok(channel.basic_consume(QUEUE.into(), "bare".into(), options, FieldTable::default()).await?)
}

pub(crate) async fn declare(channel: &Channel) -> Result<()> {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString(LongString::from("quorum")));
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(QUEUE.into(), durable, arguments).await?;
    Ok(())
}

pub(crate) async fn connect(url: &str) -> Result<Connection> {
    let connecting = Connection::connect(url, ConnectionProperties::default());
    tokio::time::timeout(LIMIT, connecting).await?.context("cannot connect to the broker")
}
