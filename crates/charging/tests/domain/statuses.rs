//! Statuses that chargers send: the newest one is shown, and the log has all of them.

use std::time::Duration;

use charging::stations::StationError;
use charging::stations::charging_stations::{self, Station};
use charging::stations::connectors::{ConnectorStatus, EvseStatus};
use charging::stations::status_log::{self, Entry, Sent};
use charging::{At, Db};
use uuid::Uuid;

use crate::databases::each_database;
use crate::drafts::{self, create_station, find_station, update_station};

fn sent(connector_number: i64, status: ConnectorStatus, at: At) -> Sent {
    Sent { connector_number, status, error_code: None, info: None, at }
}

async fn record(db: &Db, id: Uuid, sent: &Sent) -> Result<(), StationError> {
    db.write(async |tx| charging_stations::record_status(tx, id, sent).await).await
}

async fn log(db: &Db, id: Uuid) -> Vec<Entry> {
    db.read(async |tx| status_log::list(tx, id, Uuid::max(), 100).await).await.unwrap()
}

/// The status of each EVSE and of each connector.
async fn shown(db: &Db, station: &Station) -> Vec<(EvseStatus, Vec<Option<ConnectorStatus>>)> {
    let station = find_station(db, station.row.id).await.unwrap();
    let evses = station.evses.iter();
    evses.map(|evse| (evse.row.status, evse.connectors.iter().map(|one| one.status).collect())).collect()
}

#[tokio::test]
async fn the_newest_status_is_shown_and_the_log_keeps_all() {
    use ConnectorStatus::{Available, Charging, Faulted};
    each_database(async |db| {
        let station = create_station(db, &drafts::station("A", None, &[&[1, 2], &[3]])).await;
        let (id, now) = (station.row.id, At::now());
        let (before, after) = (now.minus(Duration::from_secs(60)), now.plus(Duration::from_millis(1)));
        for (number, status, at) in
            [(1, Available, now), (1, Faulted, before), (2, Charging, now), (2, Available, after)]
        {
            record(db, id, &sent(number, status, at)).await.unwrap();
        }
        let unknown = (EvseStatus::Unknown, vec![None]);
        let expected = vec![(EvseStatus::Available, vec![Some(Available); 2]), unknown];
        assert_eq!(shown(db, &station).await, expected);
        let log = log(db, id).await;
        let logged: Vec<_> = log.iter().map(|entry| (entry.connector_number, entry.status)).collect();
        let expected = [(2, Available), (2, Charging), (1, Faulted), (1, Available)];
        assert_eq!(logged, expected.map(|(number, status)| (Some(number), status)));
        let second = db.read(async |tx| status_log::list(tx, id, log[0].id, 2).await).await.unwrap();
        assert_eq!(second, log[1..3]);
    })
    .await;
}

#[tokio::test]
async fn an_entry_of_the_log_is_read_back_as_it_was_sent() {
    each_database(async |db| {
        let station = create_station(db, &drafts::station("A", None, &[&[1]])).await;
        let (id, at) = (station.row.id, "2027-03-28T01:00:00.123Z".parse().unwrap());
        let mut full = sent(1, ConnectorStatus::Faulted, at);
        (full.error_code, full.info) =
            (Some("GroundFailure".to_owned()), Some("Fehler: ä \u{1f50c}".to_owned()));
        record(db, id, &full).await.unwrap();
        record(db, id, &sent(0, ConnectorStatus::Available, at)).await.unwrap();
        let [bare, entry] = &log(db, id).await[..] else { panic!("two entries") };
        assert_eq!((&entry.error_code, &entry.info, entry.at), (&full.error_code, &full.info, at));
        assert_eq!(entry.evse_id, Some(station.evses[0].row.id));
        assert_eq!((bare.connector_number, bare.evse_id, &bare.info), (Some(0), None, &None));
        assert!(bare.received_at > at || bare.received_at <= At::now());
    })
    .await;
}

#[tokio::test]
async fn an_info_with_a_null_character_is_recorded() {
    each_database(async |db| {
        let station = create_station(db, &drafts::station("A", None, &[&[1]])).await;
        let mut odd = sent(1, ConnectorStatus::Faulted, At::now());
        (odd.error_code, odd.info) = (Some("Other\0Error".to_owned()), Some("\0 4711".to_owned()));
        record(db, station.row.id, &odd).await.unwrap();
        let entry = log(db, station.row.id).await.pop().unwrap();
        assert_eq!((entry.error_code.as_deref(), entry.info.as_deref()), (Some("OtherError"), Some(" 4711")));
    })
    .await;
}

#[tokio::test]
async fn an_evse_follows_its_connectors_when_they_move_or_go() {
    use ConnectorStatus::{Available, Charging};
    each_database(async |db| {
        let station = create_station(db, &drafts::station("A", None, &[&[1, 2], &[3]])).await;
        for (number, status) in [(1, Charging), (2, Available)] {
            record(db, station.row.id, &sent(number, status, At::now())).await.unwrap();
        }
        let station = find_station(db, station.row.id).await.unwrap();
        let mut draft = station.draft();
        let evses = draft.evses.as_mut().unwrap();
        let moved = evses[0].connectors.remove(0);
        evses[1].connectors.push(moved);
        let station = update_station(db, &station, &draft).await.unwrap();
        let expected = [
            (EvseStatus::Available, vec![Some(Available)]),
            (EvseStatus::Charging, vec![Some(Charging), None]),
        ];
        assert_eq!(shown(db, &station).await, expected);
    })
    .await;
}

#[tokio::test]
async fn a_status_of_a_station_that_is_not_there_is_refused() {
    each_database(async |db| {
        let nowhere = record(db, Uuid::now_v7(), &sent(1, ConnectorStatus::Available, At::now())).await;
        assert!(matches!(nowhere, Err(StationError::NotFound)), "{nowhere:?}");
    })
    .await;
}
