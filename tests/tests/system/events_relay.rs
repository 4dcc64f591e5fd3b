//! The outbox on its way to the exchange: each event at least once, those of one station in order, whatever happens to a
//! relay.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use charging::events::{self, Happened, Written, relay};
use charging::{Db, DbError, Tx};
use platform_queue::{EVENTS_EXCHANGE, EventPublisher};
use rand::RngExt;
use serde_json::{Value, json};
use task_queue::Broker;
use tests::deployment::Deployment;
use tests::{PATIENCE, eventually};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::exchange_publisher::{BoundQueue, next};

const STATIONS: u128 = 5;
const WRITERS: u64 = 4;
const EVENTS_OF_A_WRITER: u64 = 150;

/// A database, its outbox, and a broker.
struct Outbox {
    db: Db,
    written: Arc<Written>,
    broker: Arc<dyn Broker>,
    deployment: Deployment,
    _directory: tempfile::TempDir,
}

impl Outbox {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let deployment = Deployment::new().await;
        Self {
            db: Db::open(directory.path()).await.unwrap(),
            written: Arc::new(Written::new()),
            broker: deployment.broker().await,
            deployment,
            _directory: directory,
        }
    }

    fn start_relay(&self) -> (JoinHandle<()>, CancellationToken) {
        let (db, written, stop) = (self.db.clone(), Arc::clone(&self.written), CancellationToken::new());
        let (publisher, stopped) = (EventPublisher::on(&*self.broker), stop.clone());
        let relay = tokio::spawn(async move { relay::run(&db, publisher, &written, stopped).await });
        (relay, stop)
    }

    /// Clients that each write events of all stations.
    fn start_writers(&self) -> Vec<JoinHandle<()>> {
        let writer = |_| {
            let (db, written) = (self.db.clone(), Arc::clone(&self.written));
            tokio::spawn(async move {
                for _ in 0..EVENTS_OF_A_WRITER {
                    let station = Uuid::from_u128(rand::rng().random_range(1..=STATIONS));
                    db.write(async move |tx| write(tx, station).await).await.unwrap();
                    written.notify_waiters();
                }
            })
        };
        (0..WRITERS).map(writer).collect()
    }

    /// Every event was received, and the first copies of each station's are in order.
    async fn is_received(&self, queue: &BoundQueue) {
        let mut consumer = queue.consume().await;
        let (mut positions, mut last) = (BTreeSet::new(), BTreeMap::new());
        while positions.len() < (WRITERS * EVENTS_OF_A_WRITER) as usize {
            let delivery = next(&mut consumer).await;
            let event: Value = serde_json::from_slice(&delivery.data).unwrap();
            let id = event["id"].as_i64().unwrap();
            assert_eq!(delivery.routing_key.as_str(), event["type"].as_str().unwrap());
            assert_eq!(delivery.properties.message_id().as_ref().unwrap().as_str(), id.to_string());
            assert_eq!(
                delivery.properties.content_type().as_ref().map(lapin::types::ShortString::as_str),
                Some("application/json")
            );
            if !positions.insert(id) {
                continue;
            }
            let station = event["station_id"].as_str().unwrap().to_owned();
            let before = last.insert(station, event["number"].as_i64().unwrap()).unwrap_or(0);
            assert_eq!(event["number"].as_i64(), Some(before + 1), "{event}");
        }
        assert_eq!(positions.into_iter().collect::<Vec<_>>(), (1..=600).collect::<Vec<i64>>());
    }

    async fn all_is_published(&self) {
        eventually("all to be recorded as published", async || {
            let state = self.db.read(async |tx| events::state(tx).await).await.unwrap();
            (state.published == 600).then_some(())
        })
        .await;
    }
}

/// Writes an event with its number among those of the station.
async fn write(tx: &mut Tx, station: Uuid) -> Result<(), DbError> {
    let Tx::Lite(lite) = tx else { panic!("a file") };
    let counting = sqlx::query_as("SELECT COUNT(*) FROM outbox WHERE station_id = $1").bind(station);
    let (before,): (i64,) = counting.fetch_one(&mut **lite).await?;
    let more = json!({ "number": before + 1 });
    let happened =
        Happened { routing_key: "station.updated", station_id: Some(station), location_id: None, more };
    events::write(tx, &happened).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_is_killed_loses_and_reorders_nothing() {
    let outbox = Outbox::new().await;
    let queue = BoundQueue::bind(&outbox.deployment, EVENTS_EXCHANGE, "bound").await;
    let writers = outbox.start_writers();
    while !writers.iter().all(JoinHandle::is_finished) {
        let published_before = published(&outbox.db).await;
        let (relay, _) = outbox.start_relay();
        eventually("it to publish", async || {
            let done = writers.iter().all(JoinHandle::is_finished);
            (done || published(&outbox.db).await > published_before).then_some(())
        })
        .await;
        relay.abort();
        let _ = relay.await;
        forget_leases(&outbox.db).await;
    }
    let (relay, stop) = outbox.start_relay();
    outbox.all_is_published().await;
    outbox.is_received(&queue).await;
    stop.cancel();
    tokio::time::timeout(PATIENCE, relay).await.expect("it stops").unwrap();
    let (left,): (i64,) = outbox.db.read(async |tx| count_leases(tx).await).await.unwrap();
    assert_eq!(left, 0, "a relay that stops releases its lease");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relays_that_publish_at_the_same_time_keep_the_order() {
    let outbox = Outbox::new().await;
    let queue = BoundQueue::bind(&outbox.deployment, EVENTS_EXCHANGE, "bound").await;
    let relays = [outbox.start_relay(), outbox.start_relay(), outbox.start_relay()];
    let writers = outbox.start_writers();
    while !writers.iter().all(JoinHandle::is_finished) {
        // As if each had stood still until its lease ran out.
        forget_leases(&outbox.db).await;
        tokio::task::yield_now().await;
    }
    outbox.all_is_published().await;
    outbox.is_received(&queue).await;
    for (relay, stop) in relays {
        stop.cancel();
        tokio::time::timeout(PATIENCE, relay).await.expect("it stops").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_have_positions_even_if_none_can_be_published() {
    let outbox = Outbox::new().await;
    outbox.broker.close().await;
    for publisher in [None, EventPublisher::on(&*outbox.broker)] {
        let (db, stop) = (outbox.db.clone(), CancellationToken::new());
        let stopped = stop.clone();
        let relay = tokio::spawn(async move { relay::run(&db, publisher, &Written::new(), stopped).await });
        for _ in 0..2 {
            outbox.db.write(async |tx| write(tx, Uuid::from_u128(1)).await).await.unwrap();
            eventually("it to have a position", async || {
                let unnumbered = outbox.db.read(async |tx| events::are_unnumbered(tx).await).await.unwrap();
                (!unnumbered).then_some(())
            })
            .await;
        }
        stop.cancel();
        tokio::time::timeout(PATIENCE, relay).await.expect("it stops").unwrap();
    }
    let state = outbox.db.read(async |tx| events::state(tx).await).await.unwrap();
    assert_eq!((state.last_position, state.published, state.first), (4, 0, Some(1)));
}

async fn published(db: &Db) -> i64 {
    db.read(async |tx| events::state(tx).await).await.unwrap().published
}

async fn forget_leases(db: &Db) {
    db.write(async |tx| {
        let Tx::Lite(lite) = tx else { panic!("a file") };
        sqlx::query("DELETE FROM leases").execute(&mut **lite).await.map(drop).map_err(DbError::from)
    })
    .await
    .unwrap();
}

async fn count_leases(tx: &mut Tx) -> Result<(i64,), DbError> {
    let Tx::Lite(lite) = tx else { panic!("a file") };
    Ok(sqlx::query_as("SELECT COUNT(*) FROM leases").fetch_one(&mut **lite).await?)
}
