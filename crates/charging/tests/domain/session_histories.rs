//! Whatever a charger repeats, and in whatever order its messages come: no session is lost or doubled, and no energy is
//! counted twice.

use std::collections::BTreeMap;

use charging::Db;
use charging::sessions::start::Start;
use charging::sessions::stop::Stop;
use charging::sessions::{Session, SessionState};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use uuid::Uuid;

use crate::databases::each_database;
use crate::sessions::{all, begun, charger, meter, minute, register, start, stop, stopped};

const HISTORIES: usize = 24;
const VISITS: usize = 5;

/// A message about a visit. The charger knows the number only if the start was answered.
#[derive(Debug, Clone, Copy)]
enum Message {
    Start,
    Reading(i64),
    Stop,
    /// With the number -1, as the answer to the start was lost.
    NamelessStop,
}

/// A visit takes an hour, the next one begins after ten minutes more; each takes another amount of energy.
fn began(visit: usize) -> i64 {
    i64::try_from(visit).unwrap() * 70
}

fn energy(visit: usize) -> i64 {
    1_000 << visit
}

fn meter_start(visit: usize) -> i64 {
    (0..visit).map(energy).sum()
}

/// Every visit starts, and ends except perhaps the last one. Each message may come several times; a start comes before what
/// follows it for the first time, anything may be repeated later.
fn histories() -> impl Strategy<Value = Vec<(usize, Message)>> {
    let message = prop_oneof![
        Just(Message::Start),
        (0..4_i64).prop_map(Message::Reading),
        Just(Message::Stop),
        Just(Message::NamelessStop),
    ];
    prop::collection::vec((0..VISITS, message), 10..50)
}

fn start_of(visit: usize) -> Start {
    let tag = format!("04A{visit}");
    Start { id_tag: Some(tag), meter_start: Some(meter_start(visit)), ..begun(minute(began(visit))) }
}

fn stop_of(visit: usize, number: i64) -> Stop {
    let meter = meter_start(visit) + energy(visit);
    Stop { id_tag: Some(format!("04A{visit}")), ..stopped(number, minute(began(visit) + 60), meter) }
}

/// The sessions that a history must leave: those visits whose start came.
async fn play(db: &Db, station: Uuid, history: &[(usize, Message)]) -> BTreeMap<usize, Session> {
    let mut known: BTreeMap<usize, Session> = BTreeMap::new();
    for (visit, message) in history {
        let Some(number) = known.get(visit).map(|session| session.number) else {
            // Nothing of a visit comes before its start.
            known.insert(*visit, start(db, station, &start_of(*visit)).await);
            continue;
        };
        match message {
            Message::Start => {
                let again = start(db, station, &start_of(*visit)).await;
                assert_eq!(again.number, number, "a start was recorded twice");
            }
            Message::Reading(quarter) => {
                let at = minute(began(*visit) + quarter * 15);
                let value = meter_start(*visit) + energy(*visit) * quarter / 4;
                meter(db, station, Some(number), &[register(at, value)]).await;
            }
            Message::Stop => {
                assert_eq!(stop(db, station, &stop_of(*visit, number)).await.number, number);
            }
            Message::NamelessStop => {
                stop(db, station, &stop_of(*visit, -1)).await;
            }
        }
    }
    known
}

#[tokio::test]
async fn no_interleaving_loses_or_doubles_a_session_or_counts_energy_twice() {
    each_database(async |db| {
        let mut runner = TestRunner::deterministic();
        for number in 0..HISTORIES {
            let station = charger(db, &format!("HAM-{number}")).await;
            let history = histories().new_tree(&mut runner).unwrap().current();
            let known = play(db, station, &history).await;
            let mine: Vec<Session> =
                all(db).await.into_iter().filter(|session| session.station_id == station).collect();
            let with_start: Vec<&Session> =
                mine.iter().filter(|session| session.started_at.is_some()).collect();
            assert_eq!(with_start.len(), known.len(), "{history:?}: {mine:?}");
            for (visit, session) in &known {
                let now = mine.iter().find(|one| one.id == session.id).unwrap();
                let counted = now.energy_wh.unwrap_or_default();
                assert!((0..=energy(*visit)).contains(&counted), "{history:?}: {now:?}");
                if now.state == SessionState::Completed {
                    assert_eq!(counted, energy(*visit), "{history:?}: {now:?}");
                }
                let was_stopped = history
                    .iter()
                    .skip_while(|(of, _)| of != visit)
                    .skip(1)
                    .any(|(of, message)| of == visit && matches!(message, Message::Stop));
                assert!(!was_stopped || now.state == SessionState::Completed, "{history:?}: {now:?}");
            }
            // An orphan has no energy, and there is at most one for each stop.
            let orphans: Vec<&Session> = mine.iter().filter(|session| session.started_at.is_none()).collect();
            assert!(orphans.iter().all(|orphan| orphan.energy_wh.is_none()), "{orphans:?}");
            assert!(orphans.len() <= known.len(), "{history:?}: {orphans:?}");
        }
    })
    .await;
}
