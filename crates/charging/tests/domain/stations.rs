//! Stations with their EVSEs and connectors are written as a whole, and keep their ids.

use charging::stations::charging_stations::{self, Station, StationRow};
use charging::stations::connectors::{Access, EvseStatus};
use charging::stations::{StationDraft, StationError};
use charging::{At, Db, DbError};
use uuid::Uuid;

use crate::databases::{each_database, on};
use crate::drafts::{self, conflict, create_location, create_station, find_station, refused, update_station};

async fn try_create(db: &Db, draft: &StationDraft) -> Result<Station, StationError> {
    db.write(async |tx| charging_stations::create(tx, draft).await).await
}

/// The number and id of an EVSE, and those of its connectors.
type Numbers = (i64, Uuid, Vec<(i64, Uuid)>);

fn numbers(station: &Station) -> Vec<Numbers> {
    let of_evse = |evse: &charging_stations::Evse| {
        let connectors = evse.connectors.iter().map(|connector| (connector.number, connector.id));
        (evse.row.number, evse.row.id, connectors.collect())
    };
    station.evses.iter().map(of_evse).collect()
}

#[tokio::test]
async fn a_station_is_read_back_with_its_evses_in_groups() {
    each_database(async |db| {
        let location = create_location(db, &drafts::location("Site")).await;
        let mut draft = drafts::station("BER-1", Some(location.id), &[&[3, 1], &[2]]);
        draft.id = Some(Uuid::now_v7());
        draft.name = Some("Left".parse().unwrap());
        draft.access = Some(Access::List);
        draft.tariff_id = Some(Uuid::now_v7());
        let created = create_station(db, &draft).await;
        let row = &created.row;
        assert_eq!((Some(row.id), row.location_id, row.version), (draft.id, Some(location.id), 1));
        assert_eq!((row.access, row.tariff_id, row.online), (Access::List, draft.tariff_id, false));
        let [first, second] = &created.evses[..] else { panic!("{created:?}") };
        assert_eq!((first.row.number, first.row.status), (1, EvseStatus::Unknown));
        assert_eq!(first.connectors.iter().map(|one| one.number).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(second.connectors.iter().map(|one| one.number).collect::<Vec<_>>(), [2]);
        assert!(second.connectors.iter().all(|one| one.evse_id == second.row.id));

        let another = create_station(db, &drafts::station("BER-2", None, &[&[1]])).await;
        let found = find_station(db, row.id).await;
        assert_eq!(found.as_ref(), Some(&created));
        let listed = db.read(async |tx| charging_stations::list(tx, None, Uuid::nil(), 9).await).await;
        assert_eq!(listed.unwrap(), [created.clone(), another]);
        let there = async |tx: &mut _| charging_stations::list(tx, row.location_id, Uuid::nil(), 9).await;
        assert_eq!(db.read(there).await.unwrap(), std::slice::from_ref(&created));
        for (charger, found) in [("BER-1", Some(&created)), ("ber-1", None), ("BER-\0", None)] {
            let by_name = db.read(async |tx| charging_stations::by_charger(tx, charger).await).await;
            assert_eq!(by_name.unwrap().as_ref(), found, "{charger:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_a_charger_says_about_itself_is_read_back() {
    each_database(async |db| {
        let created = create_station(db, &drafts::station("A", None, &[])).await;
        let now = At::now();
        db.write(async |tx| -> Result<(), DbError> {
            let update =
                "UPDATE stations SET vendor = 'V', model = 'M', firmware = 'F', online = $1, last_seen = $2";
            on!(tx, |c| sqlx::query(update).bind(true).bind(now).execute(c).await.map(drop))?;
            Ok(())
        })
        .await
        .unwrap();
        let word = |text: &str| Some(text.to_owned());
        let (vendor, model, firmware, last_seen) = (word("V"), word("M"), word("F"), Some(now));
        let row = StationRow { vendor, model, firmware, online: true, last_seen, ..created.row };
        assert_eq!(find_station(db, row.id).await.unwrap().row, row);
    })
    .await;
}

#[tokio::test]
async fn more_stations_than_fit_in_one_statement_are_listed() {
    each_database(async |db| {
        let mut all = Vec::new();
        for number in 0..23 {
            all.push(create_station(db, &drafts::station(&format!("A{number}"), None, &[&[1], &[2]])).await);
        }
        let listed = db.read(async |tx| charging_stations::list(tx, None, Uuid::nil(), 100).await).await;
        assert_eq!(listed.unwrap(), all);
    })
    .await;
}

#[tokio::test]
async fn a_charger_or_an_id_that_is_taken_is_a_conflict() {
    each_database(async |db| {
        let first = create_station(db, &drafts::station("A", None, &[&[1]])).await;
        let second = create_station(db, &drafts::station("B", None, &[&[1]])).await;
        assert_eq!(conflict(try_create(db, &drafts::station("A", None, &[])).await), "charger");
        let taken = drafts::station("A", None, &[]);
        assert_eq!(conflict(update_station(db, &second, &taken).await), "charger");
        let taken = StationDraft { id: Some(first.row.id), ..drafts::station("C", None, &[]) };
        assert_eq!(conflict(try_create(db, &taken).await), "id");
        assert_eq!(find_station(db, first.row.id).await, Some(first));
        assert_eq!(find_station(db, second.row.id).await, Some(second));
    })
    .await;
}

#[tokio::test]
async fn of_two_stations_with_one_charger_at_once_one_is_created() {
    each_database(async |db| {
        let draft = drafts::station("A", None, &[&[1]]);
        let (one, other) = tokio::join!(try_create(db, &draft), try_create(db, &draft));
        let (created, refused) = if one.is_ok() { (one, other) } else { (other, one) };
        assert_eq!((created.is_ok(), conflict(refused)), (true, "charger".to_owned()));
    })
    .await;
}

#[tokio::test]
async fn an_unknown_location_is_refused_with_its_field() {
    each_database(async |db| {
        let nowhere = drafts::station("A", Some(Uuid::now_v7()), &[]);
        assert_eq!(refused(try_create(db, &nowhere).await), "location_id");
        let created = create_station(db, &drafts::station("A", None, &[])).await;
        assert_eq!(refused(update_station(db, &created, &nowhere).await), "location_id");
    })
    .await;
}

#[tokio::test]
async fn evses_change_their_numbers_and_keep_their_ids() {
    each_database(async |db| {
        let created = create_station(db, &drafts::station("A", None, &[&[1, 2], &[3]])).await;
        let mut draft = created.draft();
        let evses = draft.evses.as_mut().unwrap();
        (evses[0].number, evses[1].number) = (Some(2), Some(1));
        (evses[0].connectors[0].number, evses[1].connectors[0].number) = (Some(3), Some(1));
        let swapped = update_station(db, &created, &draft).await.unwrap();
        let [(_, first, old), (_, second, other)] = &numbers(&created)[..] else { panic!("{created:?}") };
        let expected = [(1, *second, vec![(1, other[0].1)]), (2, *first, vec![(2, old[1].1), (3, old[0].1)])];
        assert_eq!(numbers(&swapped), expected);
        assert_eq!(find_station(db, created.row.id).await, Some(swapped));
    })
    .await;
}

#[tokio::test]
async fn evses_without_ids_keep_those_of_their_numbers() {
    each_database(async |db| {
        let created = create_station(db, &drafts::station("A", None, &[&[1], &[2, 3]])).await;
        let fewer = update_station(db, &created, &drafts::station("A", None, &[&[1]])).await.unwrap();
        assert_eq!(numbers(&fewer), numbers(&created)[..1]);
        let more = update_station(db, &fewer, &drafts::station("A", None, &[&[1], &[2]])).await.unwrap();
        assert_eq!(numbers(&more)[0], numbers(&created)[0]);
        assert_ne!(numbers(&more)[1].1, numbers(&created)[1].1);
        let untouched = StationDraft { evses: None, ..drafts::station("B", None, &[]) };
        let same = update_station(db, &more, &untouched).await.unwrap();
        assert_eq!((numbers(&same), same.row.charger.as_deref()), (numbers(&more), Some("B")));
        let none = update_station(db, &same, &drafts::station("B", None, &[])).await.unwrap();
        assert_eq!(none.evses, []);
    })
    .await;
}

#[tokio::test]
async fn an_id_that_moves_to_another_number_is_used_once() {
    each_database(async |db| {
        let created = create_station(db, &drafts::station("A", None, &[&[1], &[2]])).await;
        let mut draft = drafts::station("A", None, &[&[1], &[2]]);
        let [first, second] = &numbers(&created)[..] else { panic!("{created:?}") };
        let evses = draft.evses.as_mut().unwrap();
        (evses[0].id, evses[0].connectors[0].id) = (Some(second.1), Some(second.2[0].1));
        let updated = update_station(db, &created, &draft).await.unwrap();
        let [new_first, new_second] = &numbers(&updated)[..] else { panic!("{updated:?}") };
        assert_eq!((new_first.1, new_first.2[0].1), (second.1, second.2[0].1));
        let old = [first.1, second.1, first.2[0].1, second.2[0].1];
        assert!(!old.contains(&new_second.1) && !old.contains(&new_second.2[0].1));
    })
    .await;
}

#[tokio::test]
async fn an_evse_of_another_station_is_a_conflict() {
    each_database(async |db| {
        let theirs = create_station(db, &drafts::station("A", None, &[&[1]])).await;
        let ours = create_station(db, &drafts::station("B", None, &[&[1]])).await;
        let mut draft = drafts::station("B", None, &[&[1]]);
        draft.evses.as_mut().unwrap()[0].id = Some(theirs.evses[0].row.id);
        assert_eq!(conflict(update_station(db, &ours, &draft).await), "evses.0.id");
        let draft = StationDraft { charger: None, ..draft };
        assert_eq!(conflict(try_create(db, &draft).await), "evses.0.id");
        let mut draft = ours.draft();
        draft.evses.as_mut().unwrap()[0].connectors[0].id = Some(theirs.evses[0].connectors[0].id);
        assert_eq!(conflict(update_station(db, &ours, &draft).await), "evses.0.connectors.0.id");
        assert_eq!(find_station(db, theirs.row.id).await, Some(theirs));
        assert_eq!(find_station(db, ours.row.id).await, Some(ours));
    })
    .await;
}

#[tokio::test]
async fn a_stale_version_of_a_station_changes_nothing() {
    each_database(async |db| {
        let first = create_station(db, &drafts::station("A", None, &[&[1]])).await;
        let second = update_station(db, &first, &drafts::station("B", None, &[&[2]])).await.unwrap();
        assert_eq!(second.row.version, 2);
        let stale = update_station(db, &first, &drafts::station("C", None, &[&[3]])).await;
        assert!(matches!(stale, Err(StationError::Stale)), "{stale:?}");
        let delete = async |version| {
            db.write(async |tx| charging_stations::delete(tx, first.row.id, version).await).await
        };
        assert!(matches!(delete(1).await, Err(StationError::Stale)));
        assert_eq!(find_station(db, first.row.id).await, Some(second));
        delete(2).await.unwrap();
        assert_eq!(find_station(db, first.row.id).await, None);
        assert!(matches!(delete(2).await, Err(StationError::NotFound)));
        assert!(matches!(update_station(db, &first, &first.draft()).await, Err(StationError::NotFound)));
    })
    .await;
}
