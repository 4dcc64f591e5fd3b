//! Locations are found by words, page by page.

use std::collections::BTreeSet;
use std::sync::Mutex;

use charging::stations::connectors::ConnectorStatus;
use charging::stations::search::{self, Found, Wanted, Words};
use charging::stations::status_log::Sent;
use charging::stations::{StationDraft, StationError, charging_stations, locations};
use charging::{At, Db, DbError, Tx};
use futures_util::future::join_all;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use uuid::Uuid;

use crate::databases::each_database;
use crate::drafts::{self, create_location, create_station, update_station};

const CASES: usize = 40;
const ENOUGH: i64 = 100;

async fn names(db: &Db, text: &str, sees_chargers: bool) -> Vec<String> {
    let words = Words::of(text).unwrap();
    let found = db.read(async |tx| {
        search::by_words(tx, &words, sees_chargers, Wanted::default(), &Found::default(), ENOUGH).await
    });
    let mut names: Vec<String> =
        found.await.unwrap().iter().map(|(_, location)| location.draft.name.as_str().to_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn locations_are_found_by_the_beginning_of_their_words() {
    each_database(async |db| {
        for name in ["Hauptbahnhof Nord", "Café Münchner Straße", "Parkhaus Süd 12a", "Hauptstraße"] {
            create_location(db, &drafts::location(name)).await;
        }
        for (text, found) in [
            ("haupt", &["Hauptbahnhof Nord", "Hauptstraße"][..]),
            ("HAUPTBAHN", &["Hauptbahnhof Nord"]),
            ("cafe", &["Café Münchner Straße"]),
            ("Café", &["Café Münchner Straße"]),
            ("munch", &["Café Münchner Straße"]),
            ("Mu\u{308}nchner", &["Café Münchner Straße"]),
            ("nord haupt", &["Hauptbahnhof Nord"]),
            ("süd, (12A)", &["Parkhaus Süd 12a"]),
            ("nord süd", &[]),
            ("bahnhof", &[]),
            (
                "berlin musterweg",
                &["Café Münchner Straße", "Hauptbahnhof Nord", "Hauptstraße", "Parkhaus Süd 12a"],
            ),
            ("%", &[]),
        ] {
            let all = if Words::of(text).is_some() { names(db, text, false).await } else { vec![] };
            assert_eq!(all, found, "{text}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_location_is_found_by_its_words_of_now() {
    each_database(async |db| {
        let location = create_location(db, &drafts::location("Old name")).await;
        let new = drafts::location("New name");
        db.write(async |tx| locations::update(tx, location.id, 1, &new).await.map(drop)).await.unwrap();
        assert_eq!(names(db, "old", true).await, [""; 0]);
        assert_eq!(names(db, "new", true).await, ["New name"]);
        db.write(async |tx| locations::delete(tx, location.id, 2).await).await.unwrap();
        assert_eq!(names(db, "new", true).await, [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn names_of_chargers_are_found_by_those_who_see_them() {
    each_database(async |db| {
        let (one, other) = (drafts::location("One Ber"), drafts::location("Other"));
        let (one, other) = (create_location(db, &one).await.id, create_location(db, &other).await.id);
        let station = create_station(db, &drafts::station("BER-0001", Some(one), &[])).await;
        create_station(db, &drafts::station("BER-0002", Some(other), &[])).await;
        assert_eq!(names(db, "ber 0001", true).await, ["One Ber"]);
        assert_eq!(names(db, "ber 0001", false).await, [""; 0]);
        assert_eq!(names(db, "ber", true).await, ["One Ber", "Other"]);
        let renamed = update_station(db, &station, &drafts::station("HAM-1", Some(one), &[])).await.unwrap();
        assert_eq!(names(db, "0001", true).await, [""; 0]);
        assert_eq!(names(db, "ham", true).await, ["One Ber"]);
        let moved = update_station(db, &renamed, &drafts::station("HAM-1", Some(other), &[])).await.unwrap();
        assert_eq!(names(db, "ham", true).await, ["Other"]);
        let delete = async |tx: &mut Tx| charging_stations::delete(tx, moved.row.id, moved.row.version).await;
        db.write(delete).await.unwrap();
        assert_eq!(names(db, "ham", true).await, [""; 0]);
        // A word of the location itself is still there when a charger with the same word goes.
        assert_eq!(names(db, "one", false).await, ["One Ber"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn chargers_that_change_places_at_once_are_found_where_they_are() {
    each_database(async |db| {
        let (one, other) = (drafts::location("One"), drafts::location("Other"));
        let (one, other) = (create_location(db, &one).await.id, create_location(db, &other).await.id);
        for round in 0..8 {
            let draft =
                |number: usize, place| drafts::station(&format!("R{round} C{number}"), Some(place), &[]);
            let mut stations = Vec::new();
            for number in 0..6 {
                stations.push(create_station(db, &draft(number, one)).await);
            }
            join_all(stations.iter().enumerate().map(async |(number, station)| {
                if number % 2 == 0 {
                    update_station(db, station, &draft(number, other)).await.unwrap();
                } else {
                    let id = station.row.id;
                    db.write(async |tx| charging_stations::delete(tx, id, 1).await).await.unwrap();
                }
            }))
            .await;
            for number in 0..6 {
                let found = names(db, &format!("R{round} C{number}"), true).await;
                let expected = if number % 2 == 0 { &["Other"][..] } else { &[] };
                assert_eq!(found, expected, "R{round} C{number}");
            }
        }
    })
    .await;
}

/// Stations with one EVSE each: the standard, the power and whether it is available.
async fn fleet(db: &Db) {
    for (name, standard, power, available) in [
        ("A", "IEC_62196_T2", 22_000, true),
        ("B", "IEC_62196_T2", 11_000, false),
        ("C", "IEC_62196_T2_COMBO", 150_000, true),
        ("D", "IEC_62196_T2_COMBO", 50_000, false),
    ] {
        let location = create_location(db, &drafts::location(name)).await;
        let document = serde_json::json!({
            "charger": name, "location_id": location.id, "evses": [{"connectors": [{
                "standard": standard, "format": "CABLE", "power_type": "DC", "max_power_w": power,
            }]}],
        });
        let station: StationDraft = serde_json::from_value(document).unwrap();
        let id = create_station(db, &station).await.row.id;
        if available {
            let (status, at) = (ConnectorStatus::Available, At::now());
            let sent = Sent { connector_number: 1, status, error_code: None, info: None, at };
            db.write(async |tx| charging_stations::record_status(tx, id, &sent).await).await.unwrap();
        }
    }
    create_location(db, &drafts::location("Without stations")).await;
}

#[tokio::test]
async fn filters_apply_to_one_evse_and_to_every_kind_of_search() {
    each_database(async |db| {
        fleet(db).await;
        let any = Wanted::default();
        let standard = Some("IEC_62196_T2".parse().unwrap());
        for (wanted, expected) in [
            (any, &["A", "B", "C", "D", "Without stations"][..]),
            (Wanted { standard, ..any }, &["A", "B"]),
            (Wanted { min_power_w: Some(50_000), ..any }, &["C", "D"]),
            (Wanted { available: true, ..any }, &["A", "C"]),
            (Wanted { min_power_w: Some(22_000), available: true, standard }, &["A"]),
            (Wanted { min_power_w: Some(50_000), standard, ..any }, &[]),
        ] {
            let (by_id, by_words, near) = db
                .read(async |tx| -> Result<_, DbError> {
                    let words = Words::of("Berlin").unwrap();
                    let place = drafts::location("Here").coordinates;
                    Ok((
                        search::by_id(tx, wanted, Uuid::nil(), ENOUGH).await?,
                        search::by_words(tx, &words, false, wanted, &Found::default(), ENOUGH).await?,
                        search::near(tx, place, 10, None, false, wanted, (-1, Uuid::nil()), 100).await?,
                    ))
                })
                .await
                .unwrap();
            let by_words: Vec<_> = by_words.into_iter().map(|(_, location)| location).collect();
            let near: Vec<_> = near.into_iter().map(|(_, location)| location).collect();
            let names: Vec<&str> = by_id.iter().map(|location| location.draft.name.as_str()).collect();
            assert_eq!(names, expected, "{wanted:?}");
            assert!(by_id == by_words && by_id == near, "{wanted:?}");
        }
    })
    .await;
}

#[derive(Debug, Clone)]
struct Case {
    /// The words of each location's name, and those of its charger's.
    locations: Vec<(Vec<&'static str>, Option<Vec<&'static str>>)>,
    query: Vec<&'static str>,
    sees_chargers: bool,
    page: i64,
}

fn case() -> impl Strategy<Value = Case> {
    // Many share a beginning, or are the beginning of another one; the order of bytes is that of no language.
    let word =
        || prop::sample::select(vec!["a", "ab", "abc", "ac", "b", "ba", "z", "zß", "ø", "øa", "0", "中a"]);
    let words = || prop::collection::vec(word(), 1..4);
    let locations = prop::collection::vec((words(), prop::option::of(words())), 0..12);
    (locations, words(), any::<bool>(), 1_i64..5).prop_map(|(locations, query, sees_chargers, page)| Case {
        locations,
        query,
        sees_chargers,
        page,
    })
}

impl Case {
    /// The indexes of the locations that have a word with each beginning.
    fn expected(&self) -> BTreeSet<usize> {
        let found = self.locations.iter().enumerate().filter(|(_, (name, charger))| {
            let chargers = charger.iter().flatten().filter(|_| self.sees_chargers);
            let all: Vec<&str> = name.iter().chain(chargers).copied().collect();
            self.query.iter().all(|query| all.iter().any(|word| word.starts_with(query)))
        });
        found.map(|(index, _)| index).collect()
    }

    async fn pages(&self, tx: &mut Tx) -> Result<Vec<usize>, StationError> {
        let mut ids = Vec::new();
        for (index, (name, charger)) in self.locations.iter().enumerate() {
            let mut draft = drafts::location(&name.join(" "));
            (draft.city, draft.address) = ("-".parse().unwrap(), "-".parse().unwrap());
            let id = locations::create(tx, &draft).await?.id;
            if let Some(charger) = charger {
                let station = drafts::station(&format!("{} x{index}", charger.join("_")), Some(id), &[]);
                charging_stations::create(tx, &station).await?;
            }
            ids.push(id);
        }
        let (words, mut after, mut found) =
            (Words::of(&self.query.join(" ")).unwrap(), Found::default(), Vec::new());
        loop {
            let wanted = Wanted::default();
            let page = search::by_words(tx, &words, self.sees_chargers, wanted, &after, self.page).await?;
            let Some((last, _)) = page.last() else { return Ok(found) };
            assert!(page.len() <= usize::try_from(self.page).unwrap());
            let in_order = page.iter().map(|(found, _)| (&found.word, found.location_id));
            assert!(
                in_order.is_sorted() && (&after.word, after.location_id) < (&page[0].0.word, page[0].1.id)
            );
            after = last.clone();
            found.extend(
                page.iter().map(|(_, location)| ids.iter().position(|id| *id == location.id).unwrap()),
            );
        }
    }
}

/// Cases are not made smaller: a transaction is rolled back after each, so that one database serves all.
#[tokio::test]
async fn pages_contain_each_location_that_has_the_words_once() {
    each_database(async |db| {
        let mut runner = TestRunner::default();
        for _ in 0..CASES {
            let case = case().new_tree(&mut runner).unwrap().current();
            let found = Mutex::new(Vec::new());
            let done = db.write(async |tx| -> Result<(), StationError> {
                *found.lock().unwrap() = case.pages(tx).await?;
                Err(StationError::Stale)
            });
            assert!(matches!(done.await, Err(StationError::Stale)), "{case:?}");
            let found = found.into_inner().unwrap();
            assert_eq!(found.iter().copied().collect::<BTreeSet<_>>(), case.expected(), "{case:?}");
            assert_eq!(found.len(), case.expected().len(), "{case:?}");
        }
    })
    .await;
}
