//! Locations are created, found, replaced and deleted, and two editors do not overwrite each other.

use charging::stations::locations::{self, Location};
use charging::stations::{LocationDraft, StationError, charging_stations};
use charging::{At, Db};
use uuid::Uuid;

use crate::databases::each_database;
use crate::drafts::{self, conflict, create_location, create_station, refused};

async fn find(db: &Db, id: Uuid) -> Option<Location> {
    db.read(async |tx| locations::find(tx, id).await).await.unwrap()
}

async fn update(db: &Db, before: &Location, draft: &LocationDraft) -> Result<Location, StationError> {
    db.write(async |tx| locations::update(tx, before.id, before.version, draft).await).await
}

async fn delete(db: &Db, id: Uuid, version: i64) -> Result<(), StationError> {
    db.write(async |tx| locations::delete(tx, id, version).await).await
}

#[tokio::test]
async fn a_location_is_read_back_as_it_was_written() {
    each_database(async |db| {
        for draft in [drafts::full_location(), drafts::location("Nothing optional")] {
            let before = At::now();
            let created = create_location(db, &draft).await;
            assert_eq!(created.draft, LocationDraft { id: None, ..draft.clone() });
            assert!(draft.id.is_none_or(|id| id == created.id));
            assert_eq!((created.version, created.created_at), (1, created.updated_at));
            assert!((before..=At::now()).contains(&created.created_at));
            assert_eq!(find(db, created.id).await, Some(created));
        }
        assert_eq!(find(db, Uuid::now_v7()).await, None);
    })
    .await;
}

#[tokio::test]
async fn an_update_replaces_everything_and_raises_the_version() {
    each_database(async |db| {
        let (full, bare) = (drafts::full_location(), drafts::location("Bare"));
        let first = create_location(db, &full).await;
        let second = update(db, &first, &bare).await.unwrap();
        assert_eq!((&second.draft, second.version), (&bare, 2));
        assert_eq!((second.id, second.created_at), (first.id, first.created_at));
        assert!(second.updated_at >= first.updated_at);
        let third = update(db, &second, &full).await.unwrap();
        assert_eq!((&third.draft, third.version), (&first.draft, 3));
        assert_eq!(find(db, first.id).await, Some(third));
    })
    .await;
}

#[tokio::test]
async fn a_stale_version_changes_nothing() {
    each_database(async |db| {
        let first = create_location(db, &drafts::location("First")).await;
        let second = update(db, &first, &drafts::location("Second")).await.unwrap();
        let stale = update(db, &first, &drafts::location("Third")).await;
        assert!(matches!(stale, Err(StationError::Stale)), "{stale:?}");
        assert!(matches!(delete(db, first.id, first.version).await, Err(StationError::Stale)));
        assert_eq!(find(db, first.id).await, Some(second));
        let gone = Location { id: Uuid::now_v7(), ..first };
        assert!(matches!(update(db, &gone, &gone.draft).await, Err(StationError::NotFound)));
        assert!(matches!(delete(db, gone.id, 1).await, Err(StationError::NotFound)));
    })
    .await;
}

#[tokio::test]
async fn a_taken_id_is_a_conflict() {
    each_database(async |db| {
        let draft = drafts::full_location();
        let created = create_location(db, &draft).await;
        let again = LocationDraft { id: draft.id, ..drafts::location("Another") };
        assert_eq!(conflict(db.write(async |tx| locations::create(tx, &again).await).await), "id");
        assert_eq!(find(db, created.id).await, Some(created));
    })
    .await;
}

#[tokio::test]
async fn a_location_with_stations_is_not_deleted() {
    each_database(async |db| {
        let location = create_location(db, &drafts::location("In use")).await;
        let station = create_station(db, &drafts::station("A", Some(location.id), &[])).await;
        assert_eq!(conflict(delete(db, location.id, 1).await), "stations");
        db.write(async |tx| charging_stations::delete(tx, station.row.id, 1).await).await.unwrap();
        delete(db, location.id, 1).await.unwrap();
        assert_eq!(find(db, location.id).await, None);
    })
    .await;
}

#[tokio::test]
async fn a_station_is_not_put_where_a_location_is_being_deleted() {
    each_database(async |db| {
        for round in 0..10 {
            let location = create_location(db, &drafts::location("Short-lived")).await;
            let draft = drafts::station(&format!("A{round}"), Some(location.id), &[&[1]]);
            let (deleted, created) = tokio::join!(
                delete(db, location.id, 1),
                db.write(async |tx| charging_stations::create(tx, &draft).await)
            );
            if deleted.is_ok() {
                assert_eq!(refused(created), "location_id");
            } else {
                assert_eq!((conflict(deleted), created.is_ok()), ("stations".to_owned(), true));
            }
        }
    })
    .await;
}

#[tokio::test]
async fn locations_are_listed_by_id_in_pages() {
    each_database(async |db| {
        let mut all = Vec::new();
        for name in ["A", "B", "C", "D", "E"] {
            all.push(create_location(db, &drafts::location(name)).await);
        }
        let page = async |after: Uuid| db.read(async |tx| locations::list(tx, after, 2).await).await.unwrap();
        let (first, second) = (page(Uuid::nil()).await, page(all[1].id).await);
        assert_eq!([first, second, page(all[3].id).await].concat(), all);
        assert_eq!(page(all[4].id).await, []);
    })
    .await;
}
