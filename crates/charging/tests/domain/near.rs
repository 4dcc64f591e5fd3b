//! Locations are found by their distance, also across the date line and at the poles.

use std::sync::Mutex;

use charging::stations::search::{self, Wanted, Words};
use charging::stations::{Coordinates, StationDraft, StationError, locations};
use charging::{Db, DbError, Tx};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use uuid::Uuid;

use crate::databases::each_database;
use crate::drafts::{self, create_location, create_station, update_station};

const CASES: usize = 40;
const FROM_THE_START: (i64, Uuid) = (-1, Uuid::nil());

fn place(latitude: &str, longitude: &str) -> Coordinates {
    drafts::located("Here", latitude, longitude).coordinates
}

async fn near(db: &Db, place: Coordinates, radius_m: i64, words: Option<&str>) -> Vec<(i64, String)> {
    let words = words.map(|text| Words::of(text).unwrap());
    let found = db.read(async |tx| {
        search::near(tx, place, radius_m, words.as_ref(), true, Wanted::default(), FROM_THE_START, 100).await
    });
    let found = found.await.unwrap();
    found.into_iter().map(|(metres, location)| (metres, location.draft.name.as_str().to_owned())).collect()
}

#[tokio::test]
async fn the_nearest_come_first_and_none_is_farther_than_the_radius() {
    each_database(async |db| {
        for (name, latitude, longitude) in [
            ("Hamburg", "53.551086", "9.993682"),
            ("Alexanderplatz", "52.521918", "13.413215"),
            ("Potsdam", "52.400000", "13.066667"),
            ("Rotes Rathaus", "52.518611", "13.408333"),
        ] {
            create_location(db, &drafts::located(name, latitude, longitude)).await;
        }
        let here = place("52.520008", "13.404954");
        let all = near(db, here, 1_000_000, None).await;
        let names: Vec<&str> = all.iter().map(|(_, name)| &name[..]).collect();
        assert_eq!(names, ["Rotes Rathaus", "Alexanderplatz", "Potsdam", "Hamburg"]);
        let exactly = all[2].0;
        assert_eq!(near(db, here, exactly, None).await, all[..3]);
        assert_eq!(near(db, here, exactly - 1, None).await, all[..2]);
        assert_eq!(near(db, here, 1_000_000, Some("ro rat")).await, all[..1]);
        assert_eq!(near(db, here, 1_000_000, Some("rathaus hamburg")).await, []);
    })
    .await;
}

#[tokio::test]
async fn what_has_moved_is_found_where_it_is_now() {
    each_database(async |db| {
        let (here, there) = (place("52.52", "13.40"), place("48.14", "11.58"));
        let old = create_location(db, &drafts::located("Old", "52.52", "13.40")).await;
        let new = create_location(db, &drafts::located("New", "48.14", "11.58")).await;
        let station = create_station(db, &drafts::station("MOVING-1", Some(old.id), &[&[1]])).await;
        let with_connector = async |place| {
            let wanted = Wanted { min_power_w: Some(1), ..Wanted::default() };
            let found = db.read(async |tx| {
                search::near(tx, place, 1000, None, true, wanted, FROM_THE_START, 100).await
            });
            found.await.unwrap().len()
        };
        assert_eq!((with_connector(here).await, with_connector(there).await), (1, 0));
        let moved = StationDraft { evses: None, location_id: Some(new.id), ..station.draft() };
        update_station(db, &station, &moved).await.unwrap();
        assert_eq!((with_connector(here).await, with_connector(there).await), (0, 1));

        let back = drafts::located("New", "52.52", "13.40");
        db.write(async |tx| locations::update(tx, new.id, 1, &back).await.map(drop)).await.unwrap();
        for word in ["new", "moving"] {
            assert_eq!(near(db, there, 1000, Some(word)).await, [], "{word}");
            assert_eq!(near(db, here, 1000, Some(word)).await, [(0, "New".to_owned())], "{word}");
        }
    })
    .await;
}

#[tokio::test]
async fn places_across_the_date_line_and_around_a_pole_are_near() {
    each_database(async |db| {
        for (name, latitude, longitude) in [
            ("West of the line", "-16.8", "179.99"),
            ("East of the line", "-16.8", "-179.99"),
            ("On the line", "-16.81", "-180"),
            ("Pole", "-90", "77"),
            ("Beyond the pole", "-89.9", "-120"),
        ] {
            create_location(db, &drafts::located(name, latitude, longitude)).await;
        }
        for longitude in ["180", "-180", "179.995", "-179.995"] {
            let mut names: Vec<String> = near(db, place("-16.8", longitude), 3000, None)
                .await
                .into_iter()
                .map(|found| found.1)
                .collect();
            names.sort();
            assert_eq!(names, ["East of the line", "On the line", "West of the line"], "{longitude}");
        }
        let names: Vec<String> =
            near(db, place("-89.95", "60"), 20_000, None).await.into_iter().map(|found| found.1).collect();
        assert_eq!(names, ["Pole", "Beyond the pole"]);
        assert_eq!(near(db, place("0", "0"), 20_015_115, None).await.len(), 5);
    })
    .await;
}

#[tokio::test]
async fn names_of_chargers_narrow_a_search_for_those_who_see_them() {
    each_database(async |db| {
        let location = create_location(db, &drafts::location("Here")).await;
        create_station(db, &drafts::station("HAM-77", Some(location.id), &[])).await;
        let words = Words::of("ham 77").unwrap();
        for (sees_chargers, count) in [(true, 1), (false, 0)] {
            let found = db.read(async |tx| -> Result<_, DbError> {
                let (here, any) = (location.draft.coordinates, Wanted::default());
                search::near(tx, here, 1, Some(&words), sees_chargers, any, FROM_THE_START, 9).await
            });
            assert_eq!(found.await.unwrap().len(), count);
        }
    })
    .await;
}

#[derive(Debug, Clone)]
struct Case {
    places: Vec<Coordinates>,
    here: Coordinates,
    radius_m: i64,
    page: usize,
}

fn case() -> impl Strategy<Value = Case> {
    // Around the date line, the poles, and where the meridian meets the equator.
    let latitude =
        prop_oneof![-90_000_000_i64..-89_900_000, 89_900_000_i64..=90_000_000, -50_000_i64..50_000];
    let longitude =
        prop_oneof![-180_000_000_i64..-179_950_000, 179_950_000_i64..=180_000_000, -50_000_i64..50_000];
    let place = (latitude, longitude).prop_map(|(north, east)| Coordinates::from_micros(north, east)).boxed();
    (prop::collection::vec(place.clone(), 0..12), place, 0_i64..30_000, 1_usize..4)
        .prop_map(|(places, here, radius_m, page)| Case { places, here, radius_m, page })
}

impl Case {
    /// All of them, as pages, and as counted by hand.
    async fn run(&self, tx: &mut Tx) -> Result<[Vec<(i64, Uuid)>; 2], StationError> {
        let mut expected = Vec::new();
        for place in &self.places {
            let draft =
                charging::stations::LocationDraft { coordinates: *place, ..drafts::location("Place") };
            let id = locations::create(tx, &draft).await?.id;
            expected.push((self.here.metres_to(*place), id));
        }
        expected.retain(|(metres, _)| *metres <= self.radius_m);
        expected.sort_unstable();
        let mut found = Vec::new();
        loop {
            let after = found.last().copied().unwrap_or(FROM_THE_START);
            let any = Wanted::default();
            let page = search::near(tx, self.here, self.radius_m, None, false, any, after, self.page).await?;
            if page.is_empty() {
                return Ok([found, expected]);
            }
            assert!(page.len() <= self.page);
            found.extend(page.into_iter().map(|(metres, location)| (metres, location.id)));
        }
    }
}

/// Cases are not made smaller: a transaction is rolled back after each, so that one database serves all.
#[tokio::test]
async fn pages_contain_each_location_within_the_radius_once_and_in_order() {
    each_database(async |db| {
        let mut runner = TestRunner::default();
        for _ in 0..CASES {
            let case = case().new_tree(&mut runner).unwrap().current();
            let found = Mutex::new([vec![], vec![]]);
            let done = db.write(async |tx| -> Result<(), StationError> {
                *found.lock().unwrap() = case.run(tx).await?;
                Err(StationError::Stale)
            });
            assert!(matches!(done.await, Err(StationError::Stale)), "{case:?}");
            let [found, expected] = found.into_inner().unwrap();
            assert_eq!(found, expected, "{case:?}");
        }
    })
    .await;
}
