//! The starts of sessions: one record however often a start comes, and one number that nothing else ever has.

use std::collections::HashSet;
use std::time::Duration;

use charging::sessions::meter_values::{self, Reading};
use charging::sessions::start::{self, Start, Started};
use charging::sessions::stop::{self, Stop};
use charging::sessions::{self, Anomaly, Filter, Session, SessionState};
use charging::{At, Db, DbError, events};
use futures_util::future::join_all;
use uuid::Uuid;

use crate::databases::each_database;
use crate::drafts::{create_station, station};

pub(crate) const TAG: &str = "04A1B2C3";
/// 2026-11-01.
const NOVEMBER_MILLIS: i64 = 1_793_491_200_000;

/// This many minutes into the 1st of November 2026.
pub(crate) fn minute(minute: i64) -> At {
    At::from_millis(NOVEMBER_MILLIS + minute * 60_000)
}

pub(crate) fn now() -> At {
    At::from_millis(At::now().millis())
}

/// A start at connector 1, with the register at 1 kWh.
pub(crate) fn begun(at: At) -> Start {
    Start {
        charger: "HAM-1".to_owned(),
        connector: Some(1),
        id_tag: Some(TAG.to_owned()),
        meter_start: Some(1_000),
        reservation_number: None,
        at: Some(at),
        received_at: now(),
        malformed: false,
    }
}

pub(crate) fn stopped(number: i64, at: At, meter: i64) -> Stop {
    Stop {
        charger: "HAM-1".to_owned(),
        number: Some(number),
        id_tag: None,
        meter_stop: Some(meter),
        at: Some(at),
        received_at: now(),
        reason: Some("Local".to_owned()),
        malformed: false,
    }
}

/// A reading of the register at connector 1.
pub(crate) fn register(at: At, value: i64) -> Reading {
    Reading {
        connector_number: 1,
        at,
        measurand: "Energy.Active.Import.Register".to_owned(),
        phase: String::new(),
        context: "Sample.Periodic".to_owned(),
        location: "Outlet".to_owned(),
        value: Some(value),
        unit: Some("Wh".to_owned()),
        raw: None,
        received_at: now(),
    }
}

/// A station with two connectors.
pub(crate) async fn charger(db: &Db, name: &str) -> Uuid {
    create_station(db, &station(name, None, &[&[1], &[2]])).await.row.id
}

pub(crate) async fn start(db: &Db, station: Uuid, start: &Start) -> Session {
    match db.write(async |tx| start::record(tx, station, start).await).await.unwrap() {
        Started::New(session) | Started::Again(session) => session,
        Started::NoStation => panic!("there is no station"),
    }
}

pub(crate) async fn is_new(db: &Db, station: Uuid, start: &Start) -> bool {
    let started = db.write(async |tx| start::record(tx, station, start).await).await.unwrap();
    matches!(started, Started::New(_))
}

pub(crate) async fn stop(db: &Db, station: Uuid, stop: &Stop) -> Session {
    db.write(async |tx| stop::record(tx, station, stop).await).await.unwrap().unwrap()
}

pub(crate) async fn meter(db: &Db, station: Uuid, number: Option<i64>, readings: &[Reading]) {
    let recorded: Result<(), DbError> =
        db.write(async |tx| meter_values::record(tx, station, number, readings).await).await;
    recorded.unwrap();
}

pub(crate) async fn found(db: &Db, id: Uuid) -> Session {
    db.read(async |tx| sessions::find(tx, id).await).await.unwrap().unwrap()
}

/// All sessions, oldest first.
pub(crate) async fn all(db: &Db) -> Vec<Session> {
    let listed = db.read(async |tx| sessions::list(tx, &Filter::default(), i64::MAX, 1_000).await).await;
    let mut all = listed.unwrap();
    all.reverse();
    all
}

#[tokio::test]
async fn a_start_is_recorded_once_however_often_it_comes() {
    each_database(async |db| {
        let station = charger(db, "HAM-1").await;
        let first = start(db, station, &begun(minute(0))).await;
        let again = Start {
            id_tag: Some(TAG.to_lowercase()),
            received_at: now().plus(Duration::from_secs(86_400)),
            ..begun(minute(0))
        };
        assert!(!is_new(db, station, &again).await);
        assert_eq!(start(db, station, &again).await, first);
        stop(db, station, &stopped(first.number, minute(60), 8_000)).await;
        // Also after its stop, and after the next one.
        assert_eq!(start(db, station, &again).await.id, first.id);
        let second = start(db, station, &begun(minute(90))).await;
        assert_eq!(start(db, station, &again).await.id, first.id);
        let ended = found(db, first.id).await;
        assert_eq!((ended.state, ended.energy_wh), (SessionState::Completed, Some(7_000)));
        assert_eq!(found(db, second.id).await.state, SessionState::Active);
        assert_eq!(all(db).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_start_on_many_connections_at_once_is_one_session() {
    each_database(async |db| {
        let station = charger(db, "HAM-1").await;
        let starts: Vec<Start> = (0..8).map(|_| begun(minute(0))).collect();
        let started = join_all(starts.iter().map(|one| start(db, station, one))).await;
        let ids: HashSet<(Uuid, i64)> = started.iter().map(|session| (session.id, session.number)).collect();
        assert_eq!((ids.len(), all(db).await.len()), (1, 1));
    })
    .await;
}

#[tokio::test]
async fn each_difference_makes_another_session_with_a_number_of_its_own() {
    each_database(async |db| {
        let stations = [charger(db, "HAM-1").await, charger(db, "HAM-2").await];
        let other_tag = Start { id_tag: Some("04FF".to_owned()), ..begun(minute(0)) };
        let starts = [
            begun(minute(0)),
            Start { connector: Some(2), ..begun(minute(0)) },
            Start { meter_start: Some(1_001), ..begun(minute(0)) },
            begun(minute(1)),
            other_tag,
        ];
        let both = stations.iter().flat_map(|station| starts.iter().map(move |one| start(db, *station, one)));
        let sessions = join_all(both).await;
        let numbers: HashSet<i64> = sessions.iter().map(|session| session.number).collect();
        assert_eq!(numbers.len(), 10);
        assert!(numbers.iter().all(|number| (1..=i64::from(i32::MAX)).contains(number)), "{numbers:?}");
    })
    .await;
}

#[tokio::test]
async fn a_clock_that_is_not_set_tells_starts_apart_only_for_ten_minutes() {
    each_database(async |db| {
        let station = charger(db, "HAM-1").await;
        let unset = begun(At::from_millis(5_000));
        let first = start(db, station, &unset).await;
        assert!(first.anomalies.contains(&Anomaly::ClockNotSet));
        let soon = Start { received_at: unset.received_at.plus(Duration::from_secs(540)), ..unset.clone() };
        assert_eq!(start(db, station, &soon).await.id, first.id);
        let later = Start { received_at: unset.received_at.plus(Duration::from_secs(700)), ..unset };
        let second = start(db, station, &later).await;
        assert_ne!(second.id, first.id);
        assert_eq!(found(db, first.id).await.state, SessionState::EndedUnconfirmed);
        let future = begun(now().plus(Duration::from_secs(3_600)));
        assert!(start(db, station, &future).await.anomalies.contains(&Anomaly::FutureTime));
    })
    .await;
}

#[tokio::test]
async fn a_new_start_ends_the_open_one_by_inference_and_its_real_stop_replaces_that() {
    each_database(async |db| {
        let station = charger(db, "HAM-1").await;
        let first = start(db, station, &begun(minute(0))).await;
        meter(db, station, Some(first.number), &[register(minute(10), 1_500), register(minute(20), 3_000)])
            .await;
        let beside = start(db, station, &Start { connector: Some(2), ..begun(minute(21)) }).await;
        assert_eq!(found(db, first.id).await.state, SessionState::Active);
        start(db, station, &begun(minute(30))).await;
        let inferred = found(db, first.id).await;
        assert_eq!(inferred.state, SessionState::EndedUnconfirmed);
        assert_eq!((inferred.energy_wh, inferred.ended_at), (Some(2_000), Some(minute(20))));
        assert!(inferred.anomalies.contains(&Anomaly::NoStop) && inferred.end_received_at.is_none());
        let real = stop(db, station, &stopped(first.number, minute(25), 4_000)).await;
        assert_eq!((real.state, real.energy_wh), (SessionState::Completed, Some(3_000)));
        assert_eq!((real.ended_at, real.anomalies.0.as_slice()), (Some(minute(25)), &[][..]));
        assert_eq!(found(db, beside.id).await.state, SessionState::Active);
        assert_eq!(all(db).await.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn a_register_of_the_session_is_the_energy_itself() {
    each_database(async |db| {
        let station = charger(db, "HAM-1").await;
        let first = start(db, station, &begun(minute(0))).await;
        // Some count from zero in each session (lbbrhzn/ocpp, pull request 919).
        meter(db, station, Some(first.number), &[register(minute(10), 700)]).await;
        start(db, station, &begun(minute(30))).await;
        assert_eq!(found(db, first.id).await.energy_wh, Some(700));
    })
    .await;
}

#[tokio::test]
async fn what_is_malformed_or_missing_is_stored_and_marked() {
    each_database(async |db| {
        let station = charger(db, "HAM-1").await;
        let bare = Start {
            connector: None,
            id_tag: None,
            meter_start: None,
            at: None,
            malformed: true,
            ..begun(minute(0))
        };
        let session = start(db, station, &bare).await;
        assert!(!is_new(db, station, &bare).await);
        assert!(session.anomalies.contains(&Anomaly::Malformed));
        let ended = stop(db, station, &stopped(session.number, minute(10), 2_000)).await;
        // Energy that is not known is not zero.
        assert_eq!((ended.energy_wh, ended.state), (None, SessionState::Completed));
        assert!(ended.anomalies.contains(&Anomaly::NoMeter));
        let gone = db.write(async |tx| start::record(tx, Uuid::now_v7(), &bare).await).await.unwrap();
        assert_eq!(gone, Started::NoStation);
    })
    .await;
}

/// The `session.updated` so far, oldest first.
async fn updates(db: &Db) -> Vec<serde_json::Value> {
    db.write(async |tx| events::number(tx).await).await.unwrap();
    let all = db.read(async |tx| events::after(tx, 0, 1_000).await).await.unwrap();
    all.into_iter().filter(|event| event.routing_key == "session.updated").map(|event| event.data.0).collect()
}

#[tokio::test]
async fn readings_say_at_most_once_a_second_how_far_a_session_is() {
    each_database(async |db| {
        let station = charger(db, "HAM-1").await;
        let session = start(db, station, &begun(minute(0))).await;
        let number = Some(session.number);
        let of = |at, phase: &str, watts| Reading {
            measurand: "Power.Active.Import".to_owned(),
            phase: phase.to_owned(),
            unit: Some("W".to_owned()),
            ..register(at, watts)
        };
        let first = async {
            for nth in 1.. {
                let at = minute(nth);
                let readings = [register(at, 1_000 + nth * 10), of(at, "L1", 3_000), of(at, "L2", 3_100)];
                meter(db, station, number, &readings).await;
                if let Some(update) = updates(db).await.pop() {
                    return (nth, update);
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            unreachable!()
        };
        let (nth, update) = tokio::time::timeout(Duration::from_secs(20), first).await.unwrap();
        assert_eq!(
            (&update["session_id"], &update["energy_wh"], &update["power_w"]),
            (&serde_json::json!(session.id), &serde_json::json!(nth * 10), &serde_json::json!(6_100))
        );
        stop(db, station, &stopped(session.number, minute(nth + 1), 8_000)).await;
        // It is over: what comes late says nothing.
        let before = updates(db).await.len();
        meter(db, station, number, &[register(minute(nth), 7_000)]).await;
        assert_eq!(updates(db).await.len(), before);
    })
    .await;
}
