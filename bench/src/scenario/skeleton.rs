//! The skeleton: the steps that the guarantees require, with the same libraries and nothing else. It is the upper
//! limit. One process takes the call, publishes and answers; then takes the message, asks Redis about the driver,
//! writes the decision, calls back, writes the attempt and acknowledges. It has no keys, limits, guards, index, retries
//! or metrics, and could not be operated.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::StreamExt;
use lapin::Channel;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, ConfirmSelectOptions};
use load_generator::{Connection, Drivers, FrontDoor, Origin, SINK_THREAD, Session, Sink};
use redis::aio::MultiplexedConnection;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::bare::{self, Sample};
use crate::cpu::Part;
use crate::servers::Servers;
use crate::throughput::{Effort, Load, full_load};

/// The worker's interval (`task-queue`).
const ACKNOWLEDGED_EVERY: Duration = Duration::from_millis(5);

/// The body of a message.
#[derive(Debug, Serialize, Deserialize)]
struct Work {
    request: Uuid,
    station: String,
    driver: String,
    callback_url: String,
}

/// The resources with which each message is processed.
#[derive(Clone)]
struct Hands {
    redis: MultiplexedConnection,
    sink: Origin,
    /// Unused connections to the sink.
    idle: Arc<Mutex<Vec<Connection>>>,
    done: mpsc::UnboundedSender<u64>,
}

/// Measures the skeleton at full load.
///
/// # Errors
/// Returns an error if a server does not answer or a step fails.
pub async fn skeleton(
    servers: &Servers,
    samples: Vec<Sample>,
    prefetch: u16,
    effort: &Effort,
) -> Result<Load> {
    let url = servers.emptied("skeleton").await?;
    let redis = servers.connect_redis().await?;
    let drivers = Drivers::default();
    admit(redis.clone(), &drivers).await?;
    let (publishing, consuming) = (bare::connect(&url).await?, bare::connect(&url).await?);
    let publisher = publishing.create_channel().await?;
    bare::declare(&publisher).await?;
    publisher.confirm_select(ConfirmSelectOptions::default()).await?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let api = Origin { authority: listener.local_addr()?.to_string() };
    let sink = Sink::start(([127, 0, 0, 1].into(), 0))?;
    let (done, told) = mpsc::unbounded_channel();
    let hands =
        Hands { redis, sink: Origin { authority: sink.address().to_string() }, idle: Arc::default(), done };
    let channel = consuming.create_channel().await?;
    // They end with the run.
    let mut parts = tokio::task::JoinSet::new();
    parts.spawn(serve(listener, publisher, Arc::new(samples)));
    parts.spawn(acknowledge(channel.clone(), told));
    parts.spawn(consume(channel, prefetch, hands));

    let front_door = FrontDoor { api, key: None, drivers, sink: sink.address(), hosts: 1 };
    let used = [
        ("RabbitMQ", Part::Named("beam.smp")),
        ("Redis", Part::Named("redis-server")),
        ("sink", Part::Thread(SINK_THREAD)),
        ("skeleton and generator", Part::OursWithout(SINK_THREAD)),
    ];
    let used = used.map(|(name, part)| (name.to_owned(), part));
    let (_session, load, _) = full_load(&used, Session { front_door, sink }, effort).await?;
    parts.shutdown().await;
    Ok(load)
}

async fn admit(mut redis: MultiplexedConnection, drivers: &Drivers) -> Result<()> {
    for station in (0..drivers.stations).map(Drivers::station) {
        let list = format!("station:{station}:allowlist");
        redis::cmd("SADD").arg(list).arg(drivers.admitted()).query_async::<()>(&mut redis).await?;
    }
    Ok(())
}

// === the front door ===

async fn serve(listener: TcpListener, publisher: Channel, samples: Arc<Vec<Sample>>) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(answer(stream, publisher.clone(), Arc::clone(&samples)));
    }
}

async fn answer(mut stream: TcpStream, publisher: Channel, samples: Arc<Vec<Sample>>) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(4096);
    for sample in samples.iter().cycle() {
        let (work, length) = loop {
            if let Some(call) = parse(&buffer)? {
                break call;
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        buffer.drain(..length);
        bare::confirmed(sample.publish_with(&publisher, &serde_json::to_vec(&work)?).await?).await?;
        let body = format!(r#"{{"request_id":"{}"}}"#, work.request);
        let head = format!("HTTP/1.1 202 Accepted\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).await?;
    }
    Ok(())
}

/// Returns `None` until the whole call has arrived, and otherwise also its length.
fn parse(bytes: &[u8]) -> Result<Option<(Work, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head) = request.parse(bytes)? else { return Ok(None) };
    let length = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length: usize =
        length.and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok()).unwrap_or(0);
    let Some(body) = bytes.get(head..head + length) else { return Ok(None) };
    #[derive(Deserialize)]
    struct Body {
        callback_url: String,
    }
    let Body { callback_url } = serde_json::from_slice(body)?;
    let mut path = request.path.unwrap_or_default().split('/').skip(2).step_by(2).map(str::to_owned);
    let (Some(station), Some(driver)) = (path.next(), path.next()) else { bail!("no station and driver") };
    Ok(Some((Work { request: Uuid::now_v7(), station, driver, callback_url }, head + length)))
}

// === the worker ===

async fn consume(channel: Channel, prefetch: u16, hands: Hands) -> Result<()> {
    let mut consumer = bare::consume(&channel, prefetch).await?;
    while let Some(delivery) = consumer.next().await {
        let hands = hands.clone();
        tokio::spawn(async move { hands.handle(delivery?).await });
    }
    Ok(())
}

impl Hands {
    async fn handle(mut self, delivery: Delivery) -> Result<()> {
        let work: Work = serde_json::from_slice(&delivery.data)?;
        let mut ask = redis::cmd("SISMEMBER");
        ask.arg(format!("station:{}:allowlist", work.station)).arg(&work.driver);
        let allowed: bool = ask.query_async(&mut self.redis).await?;
        let status = if allowed { "allowed" } else { "not_allowed" };
        let record = format!("log:authorize:{}:{}:{}", work.request.as_u128(), work.station, work.driver);
        let mut decide = redis::cmd("HSET");
        decide.arg(&record).arg("station_id").arg(&work.station).arg("driver_token").arg(&work.driver);
        decide.arg("status").arg(status).arg("callback_url").arg(&work.callback_url);
        decide.query_async::<()>(&mut self.redis).await?;
        let body = format!(
            r#"{{"station_id":"{}","driver_token":"{}","status":"{status}"}}"#,
            work.station, work.driver
        );
        let call = format!(
            "POST /decision HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\nwebhook-id: {}\r\ncontent-length: {}\r\n\r\n{body}",
            self.sink.authority,
            work.request,
            body.len()
        );
        let idle = self.idle().pop();
        let mut connection = idle.unwrap_or_else(|| Connection::to(self.sink.clone()));
        let told = connection.exchange(call.as_bytes()).await?.status;
        self.idle().push(connection);
        let mut attempted = redis::cmd("HSET");
        attempted.arg(&record).arg("callback_status").arg(told);
        attempted.query_async::<()>(&mut self.redis).await?;
        self.done.send(delivery.delivery_tag).context("nobody acknowledges")
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Acknowledges everything before the oldest message in flight, in one frame.
async fn acknowledge(channel: Channel, mut told: mpsc::UnboundedReceiver<u64>) -> Result<()> {
    let (mut done, mut next) = (BTreeSet::new(), 1);
    while let Some(tag) = told.recv().await {
        done.insert(tag);
        tokio::time::sleep(ACKNOWLEDGED_EVERY).await;
        while let Ok(tag) = told.try_recv() {
            done.insert(tag);
        }
        let before = next;
        while done.remove(&next) {
            next += 1;
        }
        if next > before {
            channel.basic_ack(next - 1, BasicAckOptions { multiple: true }).await?;
        }
    }
    Ok(())
}
