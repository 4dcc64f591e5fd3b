//! The ends of sessions: a stop is never refused, never counted twice, and never takes another session's place.

use charging::sessions::meter_values;
use charging::sessions::start::Start;
use charging::sessions::stop::Stop;
use charging::sessions::{Anomaly, SessionState};
use charging::{At, Db};
use uuid::Uuid;

use crate::databases::each_database;
use crate::sessions::{TAG, all, begun, charger, found, meter, minute, now, register, start, stop, stopped};

async fn readings(db: &Db, session: Uuid) -> Vec<(At, Option<i64>)> {
    let found =
        db.read(async |tx| meter_values::of_session(tx, session, At::from_millis(0), 100).await).await;
    found.unwrap().into_iter().map(|reading| (reading.at, reading.value)).collect()
}

#[tokio::test]
async fn a_stop_that_comes_again_changes_nothing_and_another_one_is_marked() {
    each_database(async |db| {
        let station = charger(db, "HAM-1").await;
        let session = start(db, station, &begun(minute(0))).await;
        let real = stopped(session.number, minute(60), 8_000);
        let ended = stop(db, station, &real).await;
        assert_eq!((ended.energy_wh, ended.confirmed), (Some(7_000), true));
        assert_eq!(stop(db, station, &Stop { received_at: now(), ..real.clone() }).await, ended);
        let other = stop(db, station, &stopped(session.number, minute(61), 9_000)).await;
        assert!(other.anomalies.contains(&Anomaly::OtherStop));
        let kept = found(db, session.id).await;
        assert_eq!(
            (kept.energy_wh, kept.meter_stop, kept.ended_at),
            (Some(7_000), Some(8_000), ended.ended_at)
        );
        assert_eq!(all(db).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_stop_without_a_number_ends_the_one_start_whose_answer_was_lost() {
    for number in [Some(-1), Some(0), Some(77_777), None] {
        each_database(async |db| {
            let station = charger(db, "HAM-1").await;
            let session = start(db, station, &begun(minute(0))).await;
            let nameless = Stop { number, id_tag: Some(TAG.to_lowercase()), ..stopped(0, minute(60), 8_000) };
            let ended = stop(db, station, &nameless).await;
            assert_eq!((ended.id, ended.energy_wh), (session.id, Some(7_000)), "{number:?}");
            assert_eq!(ended.anomalies.0, [Anomaly::StopWithoutNumber]);
            // The next one at that connector is not ended by the same stop.
            let next = start(db, station, &begun(minute(70))).await;
            assert_eq!(stop(db, station, &nameless).await.id, session.id, "{number:?}");
            assert_eq!(found(db, next.id).await.state, SessionState::Active);
            assert_eq!(all(db).await.len(), 2);
        })
        .await;
    }
}

#[tokio::test]
async fn a_stop_that_fits_no_start_is_recorded_once_by_itself() {
    each_database(async |db| {
        let station = charger(db, "HAM-1").await;
        let orphan = Stop { id_tag: Some(TAG.to_owned()), ..stopped(-1, minute(60), 8_000) };
        let first = stop(db, station, &orphan).await;
        assert_eq!((first.energy_wh, first.meter_stop, first.started_at), (None, Some(8_000), None));
        assert!(first.anomalies.contains(&Anomaly::NoStart));
        assert_eq!(stop(db, station, &orphan).await.id, first.id);
        let other = stop(db, station, &Stop { at: Some(minute(61)), ..orphan }).await;
        assert_ne!(other.id, first.id);
        assert_eq!(all(db).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_stop_never_ends_a_session_that_it_may_not_mean() {
    each_database(async |db| {
        let (here, there) = (charger(db, "HAM-1").await, charger(db, "HAM-2").await);
        let theirs = start(db, there, &begun(minute(0))).await;
        let orphan = stop(db, here, &stopped(theirs.number, minute(60), 8_000)).await;
        assert_eq!((orphan.station_id, orphan.started_at), (here, None));
        assert_eq!(found(db, theirs.id).await.state, SessionState::Active);
        // Two that it could mean, one of another driver, and one whose number the charger has used.
        let one = start(db, here, &begun(minute(100))).await;
        let two = start(db, here, &Start { connector: Some(2), ..begun(minute(101)) }).await;
        stop(db, here, &Stop { id_tag: Some(TAG.to_owned()), ..stopped(-1, minute(110), 9_000) }).await;
        meter(db, here, Some(two.number), &[register(minute(111), 2_000)]).await;
        stop(db, here, &Stop { id_tag: Some("04FF".to_owned()), ..stopped(-1, minute(112), 9_000) }).await;
        for session in [&one, &two] {
            assert_eq!(found(db, session.id).await.state, SessionState::Active);
        }
        let ended =
            stop(db, here, &Stop { id_tag: Some(TAG.to_owned()), ..stopped(-1, minute(113), 9_000) }).await;
        assert_eq!(ended.id, one.id);
        assert_eq!(found(db, two.id).await.state, SessionState::Active);
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_is_stored_and_never_counted() {
    each_database(async |db| {
        let station = charger(db, "HAM-1").await;
        for (minutes, at, meter_stop, anomaly, energy) in [
            (0, minute(60), 999, Anomaly::MeterBackwards, None),
            (100, minute(160), 1_000_000_000, Anomaly::MeterTooLarge, None),
            (200, minute(199), 1_500, Anomaly::StopBeforeStart, Some(500)),
            (300, At::from_millis(0), 1_500, Anomaly::ClockNotSet, Some(500)),
            (400, now().plus(std::time::Duration::from_secs(7_200)), 1_500, Anomaly::FutureTime, Some(500)),
        ] {
            let session = start(db, station, &begun(minute(minutes))).await;
            let ended = stop(db, station, &stopped(session.number, at, meter_stop)).await;
            assert!(ended.anomalies.contains(&anomaly), "{anomaly:?}: {:?}", ended.anomalies);
            assert_eq!((ended.energy_wh, ended.state), (energy, SessionState::Completed), "{anomaly:?}");
            assert_eq!((ended.ended_at, ended.meter_stop), (Some(at), Some(meter_stop)), "{anomaly:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_reading_is_stored_once_whether_it_came_by_itself_or_with_the_stop() {
    each_database(async |db| {
        let station = charger(db, "HAM-1").await;
        let session = start(db, station, &begun(minute(0))).await;
        let (early, late) = (register(minute(10), 2_000), register(minute(20), 3_000));
        meter(db, station, Some(session.number), std::slice::from_ref(&late)).await;
        meter(db, station, Some(session.number), std::slice::from_ref(&early)).await;
        stop(db, station, &stopped(session.number, minute(30), 4_000)).await;
        meter(db, station, Some(session.number), &[early, late, register(minute(30), 4_000)]).await;
        let expected = [(10, 2_000), (20, 3_000), (30, 4_000)].map(|(at, value)| (minute(at), Some(value)));
        assert_eq!(readings(db, session.id).await, expected);
        // Readings after the stop do not change it, nor do those of phases count.
        let mut phase = register(minute(40), 9_000);
        phase.phase = "L1".to_owned();
        meter(db, station, Some(session.number), &[register(minute(35), 5_000), phase]).await;
        let ended = found(db, session.id).await;
        assert_eq!(
            (ended.energy_wh, ended.meter_stop, ended.last_meter),
            (Some(3_000), Some(4_000), Some(5_000))
        );
        // Without a session, or with another charger's.
        meter(db, station, None, &[register(minute(50), 1)]).await;
        let there = charger(db, "HAM-2").await;
        meter(db, there, Some(session.number), &[register(minute(51), 1)]).await;
        assert_eq!(readings(db, session.id).await.len(), 5);
    })
    .await;
}

#[tokio::test]
async fn last_week_in_one_go_keeps_the_chargers_own_times() {
    each_database(async |db| {
        let station = charger(db, "HAM-1").await;
        for visit in 0..3 {
            let began = begun(minute(visit * 100));
            let session = start(db, station, &began).await;
            meter(db, station, Some(session.number), &[register(minute(visit * 100 + 30), 2_000)]).await;
            let ended = stop(db, station, &stopped(session.number, minute(visit * 100 + 60), 3_000)).await;
            assert_eq!((ended.started_at, ended.ended_at), (began.at, Some(minute(visit * 100 + 60))));
            assert!(ended.start_received_at > Some(minute(visit * 100 + 60)));
            assert_eq!((ended.energy_wh, ended.anomalies.0.len()), (Some(2_000), 0));
        }
        assert_eq!(all(db).await.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn a_clock_that_is_set_back_leaves_the_newest_register() {
    each_database(async |db| {
        let station = charger(db, "HAM-1").await;
        let session = start(db, station, &begun(minute(0))).await;
        let number = Some(session.number);
        meter(db, station, number, &[register(minute(90), 3_000)]).await;
        meter(db, station, number, &[register(minute(31), 4_000)]).await;
        // It was delayed on its way.
        meter(db, station, number, &[register(minute(15), 1_500)]).await;
        let now = found(db, session.id).await;
        assert_eq!((now.last_meter, now.last_meter_at), (Some(4_000), Some(minute(31))));
    })
    .await;
}

#[tokio::test]
async fn readings_of_a_clock_that_is_not_set_are_kept_for_each_session() {
    each_database(async |db| {
        let station = charger(db, "HAM-1").await;
        // The year 2000, again after each restart.
        let unset = |minutes: i64| At::from_millis(946_684_800_000 + minutes * 60_000);
        for meter_start in [1_000, 9_000] {
            let arrived = now();
            let begins = Start { meter_start: Some(meter_start), received_at: arrived, ..begun(unset(0)) };
            let session = start(db, station, &begins).await;
            let sent = [register(unset(1), meter_start + 10), register(unset(2), meter_start + 20)];
            // The same again: its answer was lost.
            for _ in 0..2 {
                meter(db, station, Some(session.number), &sent).await;
            }
            let at = |minutes: i64| At::from_millis(arrived.millis() + minutes * 60_000);
            let kept = readings(db, session.id).await;
            assert_eq!(kept, [(at(1), Some(meter_start + 10)), (at(2), Some(meter_start + 20))]);
            stop(db, station, &stopped(session.number, unset(3), meter_start + 30)).await;
        }
    })
    .await;
}
