//! Changes are published to RabbitMQ: persistent, in the order of each station, at least once, also over crashes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt;
use futures_util::future::join_all;
use lapin::options::{BasicConsumeOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties, Consumer, ExchangeKind};
use reqwest::Method;
use serde_json::{Value, json};
use test_servers::Postgres;
use tests::deployment::Deployment;
use tests::platform::{Answer, Platform};
use tests::{PATIENCE, eventually};

const EXCHANGE: &str = "voltgate.events";

/// What arrives in a queue of another system.
struct Neighbour {
    consumer: Consumer,
    _connection: Connection,
}

/// An event as it arrived.
struct Message {
    routing_key: String,
    id: i64,
    body: Value,
}

impl Neighbour {
    async fn bound(deployment: &Deployment, pattern: &str) -> Self {
        let url = &deployment.environment["BROKER_URL"];
        let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let none = FieldTable::default;
        channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, durable, none()).await.unwrap();
        let queue = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        let queue = channel.queue_declare("".into(), queue, none()).await.unwrap().name().clone();
        let bind = QueueBindOptions::default();
        channel.queue_bind(queue.clone(), EXCHANGE.into(), pattern.into(), bind, none()).await.unwrap();
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let consumer = channel.basic_consume(queue, "neighbour".into(), options, none()).await.unwrap();
        Self { consumer, _connection: connection }
    }

    async fn next(&mut self) -> Message {
        let delivery = tokio::time::timeout(PATIENCE, self.consumer.next()).await.expect("an event in time");
        let delivery = delivery.unwrap().unwrap();
        let properties = &delivery.properties;
        assert_eq!(properties.delivery_mode(), &Some(2), "persistent");
        assert_eq!(properties.content_type().as_ref().unwrap().as_str(), "application/json");
        let body: Value = serde_json::from_slice(&delivery.data).unwrap();
        let id = body["id"].as_i64().unwrap();
        assert_eq!(properties.message_id().as_ref().unwrap().as_str(), id.to_string());
        let routing_key = delivery.routing_key.as_str().to_owned();
        assert_eq!(body["type"], routing_key);
        Message { routing_key, id, body }
    }
}

#[tokio::test]
async fn a_bound_queue_has_each_change_persistently_and_in_order() {
    let platform = Platform::start().await;
    let mut all = Neighbour::bound(&platform.deployment, "station.#").await;
    let mut deleted = Neighbour::bound(&platform.deployment, "*.deleted").await;
    let location = platform.location("Harbour").await;
    let draft = json!({"location_id": location.id(), "charger": "HAM-1"});
    let station = platform.created("/api/v1/stations", &draft).await;
    for n in 0..20 {
        let renamed = platform.patch(station.place(), "*", &json!({"name": format!("Name {n}")})).await;
        assert_eq!(renamed.status, 200);
    }
    platform.delete(station.place(), "*").await;
    let first = all.next().await;
    assert_eq!((first.routing_key.as_str(), first.id), ("station.location_created", 1));
    assert_eq!(
        (first.body["location_id"].as_str(), first.body.get("station_id")),
        (Some(&*location.id()), None)
    );
    for id in 2..=23 {
        let event = all.next().await;
        let kind = match id {
            2 => "station.created",
            23 => "station.deleted",
            _ => "station.updated",
        };
        assert_eq!((event.routing_key.as_str(), event.id), (kind, id));
        assert_eq!(event.body["station_id"], station.id());
    }
    assert_eq!(deleted.next().await.id, 23);
}

#[tokio::test]
async fn changes_while_the_broker_is_away_have_their_events_later() {
    let deployment = Deployment::new().await;
    let mut neighbour = Neighbour::bound(&deployment, "station.#").await;
    let link = tests::link::Link::to(&deployment.environment["BROKER_URL"]).await;
    let platform = Platform::of(deployment.through("BROKER_URL", &link)).await;
    platform.station("HAM-1").await;
    assert_eq!(neighbour.next().await.id, 1);
    link.cut();
    let mut stream = platform.live("", Some("1")).await;
    for n in 2..=11 {
        platform.station(&format!("HAM-{n}")).await;
        assert_eq!(stream.next().await.unwrap().data["id"], n);
    }
    assert_eq!(platform.get("/readyz").await.status, 200);
    link.open();
    let mut seen = 1;
    while seen < 11 {
        let event = neighbour.next().await;
        assert!(event.id <= seen + 1, "{} after {seen}", event.id);
        seen = seen.max(event.id);
    }
}

/// Renames the station until there is no answer. Counts the renames that were answered.
async fn rename(platform: &Platform, station: &str, answered: &AtomicUsize) -> usize {
    let mut count = 0;
    loop {
        let name = json!({"name": format!("Name {}", answered.load(Ordering::Relaxed))});
        let request = platform.request(Method::PATCH, station).header("if-match", "*").json(&name);
        match Answer::try_to(request).await {
            Err(_) => return count,
            Ok(answer) => {
                assert!([200, 412].contains(&answer.status), "{}", answer.text);
                if answer.status == 200 {
                    count += 1;
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_kill_9_every_answered_change_has_its_event_in_order_on_sqlite() {
    every_answered_change_has_its_event(Platform::start().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_kill_9_every_answered_change_has_its_event_in_order_on_postgresql() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().to_owned();
    let postgres = tokio::task::spawn_blocking(move || Postgres::start(&place).unwrap()).await.unwrap();
    let url = format!("{}/postgres", postgres.url());
    let platform = Platform::of(Deployment::new().await.with("DATABASE_URL", url)).await;
    every_answered_change_has_its_event(platform).await;
}

/// Kills platform-api in the middle of changes, several times.
async fn every_answered_change_has_its_event(mut platform: Platform) {
    let mut neighbour = Neighbour::bound(&platform.deployment, "station.#").await;
    let mut stations = Vec::new();
    for n in 0..4 {
        stations.push(platform.station(&format!("HAM-{n}")).await);
    }
    let mut answered = vec![0; stations.len()];
    for _ in 0..4 {
        let total = AtomicUsize::new(0);
        let renaming = join_all(stations.iter().map(|station| rename(&platform, station.place(), &total)));
        let killing = async {
            eventually("some changes", async || (total.load(Ordering::Relaxed) >= 25).then_some(())).await;
            platform.process.signal(nix::sys::signal::Signal::SIGKILL);
        };
        let (counts, ()) = tokio::join!(renaming, killing);
        for (all, more) in answered.iter_mut().zip(counts) {
            *all += more;
        }
        platform.process.ended().await;
        platform = platform.start_again().await;
    }
    let mut changes = BTreeMap::new();
    for (station, answered) in stations.iter().zip(answered) {
        let version: usize = platform.get(station.place()).await.etag().trim_matches('"').parse().unwrap();
        assert!(version > answered, "a change that was answered is lost: {version}, {answered}");
        changes.insert(station.id(), version);
    }
    platform.station("last").await;
    let mut seen: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
    // The creations and the renames of the four, and one more station.
    let total = changes.values().sum::<usize>() + 1;
    while seen.values().map(BTreeSet::len).sum::<usize>() < total {
        let event = neighbour.next().await;
        let of_station = seen.entry(event.body["station_id"].as_str().unwrap().to_owned()).or_default();
        let newest = of_station.last().copied().unwrap_or_default();
        let repeated = of_station.contains(&event.id);
        assert!(repeated || event.id > newest, "{} comes first after {newest}", event.id);
        of_station.insert(event.id);
    }
    for (station, version) in changes {
        assert_eq!(seen[&station].len(), version, "one event for each version");
    }
}
