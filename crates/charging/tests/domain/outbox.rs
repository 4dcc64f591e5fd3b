//! The outbox: positions without gaps, and events of one station in the order of its commits.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use charging::events::{self, Event, Happened, State};
use charging::stations::{charging_stations, locations};
use charging::{At, Db, DbError, Tx};
use futures_util::future::try_join_all;
use rand::RngExt;
use serde_json::json;
use uuid::Uuid;

use crate::databases::{each_database, on};
use crate::drafts::{self, create_location, create_station};

const STATIONS: usize = 3;
const WRITERS: usize = 12;
const CHANGES: usize = 15;

fn happened(station: Uuid, number: i64) -> Happened {
    let more = json!({"number": number, "text": "\u{1f50c}", "list": [null, 1.5, true]});
    Happened { routing_key: "station.tested", station_id: Some(station), location_id: None, more }
}

async fn write(db: &Db, event: &Happened) {
    db.write(async |tx| events::write(tx, event).await).await.unwrap();
}

async fn number(db: &Db) -> u64 {
    db.write(async |tx| events::number(tx).await).await.unwrap()
}

async fn after(db: &Db, position: i64, limit: i64) -> Vec<Event> {
    db.read(async |tx| events::after(tx, position, limit).await).await.unwrap()
}

async fn state(db: &Db) -> State {
    db.read(async |tx| events::state(tx).await).await.unwrap()
}

fn jitter() -> Duration {
    Duration::from_millis(rand::rng().random_range(0..3))
}

/// Changes a station and writes an event with the number of the change. The transaction lasts for a random time.
async fn change(tx: &mut Tx, station: Uuid) -> Result<(), DbError> {
    let count = "UPDATE stations SET version = version + 1 WHERE id = $1 RETURNING version";
    let (version,): (i64,) = on!(tx, |c| sqlx::query_as(count).bind(station).fetch_one(c).await)?;
    tokio::time::sleep(jitter()).await;
    events::write(tx, &happened(station, version)).await?;
    tokio::time::sleep(jitter()).await;
    Ok(())
}

/// Follows the outbox until nothing is written any more, and returns what it has seen.
async fn follow(db: &Db, written: &AtomicBool) -> Vec<Event> {
    let mut seen: Vec<Event> = Vec::new();
    loop {
        let last_look = written.load(Ordering::SeqCst);
        number(db).await;
        let last = seen.last().map_or(0, |event| event.position);
        let new = after(db, last, 7).await;
        if new.is_empty() && last_look {
            return seen;
        }
        seen.extend(new);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reader_misses_no_event_and_sees_those_of_a_station_in_order() {
    each_database(async |db| {
        let mut stations = Vec::new();
        for number in 0..STATIONS {
            let draft = drafts::station(&format!("A{number}"), None, &[]);
            stations.push(create_station(db, &draft).await.row.id);
        }
        let written = AtomicBool::new(false);
        let writers = (0..WRITERS).map(|writer| {
            let (db, stations) = (db.clone(), stations.clone());
            tokio::spawn(async move {
                for step in 0..CHANGES {
                    let station = stations[(writer + step) % STATIONS];
                    db.write(async move |tx| change(tx, station).await).await.unwrap();
                }
            })
        });
        let writers = async {
            try_join_all(writers).await.unwrap();
            written.store(true, Ordering::SeqCst);
        };
        let ((), seen, also_seen) = tokio::join!(writers, follow(db, &written), follow(db, &written));
        assert_eq!(seen, also_seen);
        let positions: Vec<i64> = seen.iter().map(|event| event.position).collect();
        let expected = i64::try_from(STATIONS + WRITERS * CHANGES).unwrap();
        assert_eq!(positions, (1..=expected).collect::<Vec<_>>());
        let mut last: HashMap<Uuid, i64> = stations.iter().map(|station| (*station, 1)).collect();
        for event in seen.iter().filter(|event| event.routing_key == "station.tested") {
            let before = last.get_mut(&event.station_id.unwrap()).unwrap();
            *before += 1;
            assert_eq!(event.data.0["number"], *before);
        }
    })
    .await;
}

#[tokio::test]
async fn an_event_is_read_back_as_it_was_written() {
    each_database(async |db| {
        let station = Uuid::now_v7();
        let before = At::now();
        write(db, &happened(station, i64::MAX)).await;
        let location = Uuid::now_v7();
        let bare = Happened {
            routing_key: "station.bare",
            station_id: None,
            location_id: Some(location),
            more: json!({}),
        };
        write(db, &bare).await;
        assert_eq!(after(db, 0, 9).await, []);
        assert_eq!((number(db).await, number(db).await), (2, 0));
        let [first, second] = &after(db, 0, 9).await[..] else { panic!("two events") };
        assert_eq!((first.position, first.station_id, first.location_id), (1, Some(station), None));
        assert_eq!(first.data.0, happened(station, i64::MAX).more);
        assert!((before..=At::now()).contains(&first.at) && first.subject() == "station");
        let at = second.at;
        let expected = json!({"id": 2, "type": "station.bare", "at": at, "location_id": location});
        assert_eq!(serde_json::from_str::<serde_json::Value>(&second.to_json()).unwrap(), expected);
        assert_eq!(state(db).await, State { last_position: 2, published: 0, first: Some(1) });
    })
    .await;
}

#[tokio::test]
async fn many_events_are_numbered_in_several_steps() {
    each_database(async |db| {
        let station = Uuid::now_v7();
        db.write(async |tx| {
            for number in 0..501 {
                events::write(tx, &happened(station, number)).await?;
            }
            Ok::<(), DbError>(())
        })
        .await
        .unwrap();
        let first = number(db).await;
        assert_eq!(first, 500);
        let second = number(db).await;
        assert_eq!(second, 1);
        let all = after(db, 0, 1000).await;
        assert!(all.iter().zip(1..).all(|(event, position)| event.position == position));
        assert!(all.iter().zip(0..).all(|(event, number)| event.data.0["number"] == number));
    })
    .await;
}

#[tokio::test]
async fn what_is_not_published_yet_is_not_pruned() {
    each_database(async |db| {
        let station = Uuid::now_v7();
        for number in 0..6 {
            write(db, &happened(station, number)).await;
        }
        let later = At::now().plus(Duration::from_secs(60));
        let prune = async |before: At, are_published: bool| {
            db.write(async |tx| events::prune(tx, before, 2, are_published).await).await.unwrap()
        };
        assert_eq!((prune(later, true).await, prune(later, false).await), (0, 0));
        number(db).await;
        write(db, &happened(station, 6)).await;
        db.write(async |tx| events::published(tx, 3).await).await.unwrap();
        db.write(async |tx| events::published(tx, 2).await).await.unwrap();
        assert_eq!(prune(At::now().minus(Duration::from_secs(60)), true).await, 0);
        assert_eq!([prune(later, true).await, prune(later, true).await, prune(later, true).await], [2, 1, 0]);
        assert_eq!(state(db).await, State { last_position: 6, published: 3, first: Some(4) });
        assert_eq!(
            [prune(later, false).await, prune(later, false).await, prune(later, false).await],
            [2, 1, 0]
        );
        assert_eq!(number(db).await, 1);
        let left: Vec<i64> = after(db, 0, 9).await.iter().map(|event| event.position).collect();
        assert_eq!(left, [7]);
    })
    .await;
}

#[tokio::test]
async fn every_change_of_the_stations_is_an_event() {
    each_database(async |db| {
        let location = create_location(db, &drafts::location("Here")).await;
        let station = create_station(db, &drafts::station("A", Some(location.id), &[&[1]])).await;
        drafts::update_station(db, &station, &drafts::station("B", None, &[])).await.unwrap();
        let (id, place) = (station.row.id, &location);
        db.write(async |tx| charging_stations::delete(tx, id, 2).await).await.unwrap();
        db.write(async |tx| locations::update(tx, place.id, 1, &place.draft).await.map(drop)).await.unwrap();
        db.write(async |tx| locations::delete(tx, place.id, 2).await).await.unwrap();
        let refused = db.write(async |tx| locations::delete(tx, place.id, 2).await).await;
        assert!(refused.is_err());
        number(db).await;
        let all = after(db, 0, 99).await;
        let all: Vec<_> =
            all.iter().map(|event| (&event.routing_key[..], event.station_id, event.location_id)).collect();
        let here = Some(location.id);
        let expected = [
            ("station.location_created", None, here),
            ("station.created", Some(id), here),
            ("station.updated", Some(id), None),
            ("station.deleted", Some(id), None),
            ("station.location_updated", None, here),
            ("station.location_deleted", None, here),
        ];
        assert_eq!(all, expected);
    })
    .await;
}
