//! Finding locations: by words, near a point, and by what their EVSEs have.

use serde_json::{Value, json};
use tests::platform::{Platform, at, connector, location};

/// The names that a search finds, in order.
async fn names(platform: &Platform, query: &str) -> Vec<String> {
    let answer = platform.get(&format!("/api/v1/locations{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text);
    let items = answer.body["items"].as_array().unwrap();
    items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn words_are_found_by_their_beginning_without_case_or_accents() {
    let platform = Platform::start().await;
    let places = [
        ("Café Brücke", "Münchner Straße 12a", "Köln"),
        ("Hauptbahnhof", "Bahnhofsplatz 1", "München"),
        ("Łódź Centralna", "Kościuszki 3", "Łódź"),
        ("東京駅", "丸の内", "東京"),
    ];
    for (name, address, city) in places {
        let mut draft = location(name);
        (draft["address"], draft["city"]) = (json!(address), json!(city));
        platform.created("/api/v1/locations", &draft).await;
    }
    let (cafe, station, tokyo) = ("Café Brücke", "Hauptbahnhof", "東京駅");
    let cases: [(&str, &[&str]); 15] = [
        ("cafe", &[cafe]),
        ("CAFÉ", &[cafe]),
        ("brucke", &[cafe]),
        ("brü", &[cafe]),
        ("munch", &[station, cafe]),
        ("munch 12a", &[cafe]),
        ("münchen haupt bahnhofsplatz", &[station]),
        ("hauptbahnhof köln", &[]),
        ("bahnhof", &[station]),
        ("hof", &[]),
        ("東京", &[tokyo]),
        ("kosciuszki", &["Łódź Centralna"]),
        ("  köln  ", &[cafe]),
        ("...", &[]),
        ("%' OR 1=1 --", &[]),
    ];
    for (q, expected) in cases {
        let url = reqwest::Url::parse_with_params(&platform.url, [("q", q)]).unwrap();
        let found = platform.get(&format!("/api/v1/locations?{}", url.query().unwrap())).await;
        assert_eq!(found.status, 200, "{q}: {}", found.text);
        let items = found.body["items"].as_array().unwrap();
        let mut found: Vec<&str> = items.iter().map(|item| item["name"].as_str().unwrap()).collect();
        let mut expected = expected.to_vec();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{q}");
    }
    assert_eq!(names(&platform, "?q=").await.len(), places.len(), "an empty search finds all");
    let long = "x".repeat(201);
    assert_eq!(platform.get(&format!("/api/v1/locations?q={long}")).await.refusal(), (400, "q"));
}

#[tokio::test]
async fn words_follow_every_change() {
    let platform = Platform::start().await;
    let created = platform.location("Harbour").await;
    let changed = platform.patch(created.place(), created.etag(), &json!({"name": "Market"})).await;
    assert!(names(&platform, "?q=harbour").await.is_empty());
    assert_eq!(names(&platform, "?q=market").await, ["Market"]);
    let draft = json!({"location_id": created.id(), "charger": "ZEBRA-1"});
    let station = platform.created("/api/v1/stations", &draft).await;
    assert_eq!(names(&platform, "?q=zebra").await, ["Market"]);
    let moved = platform.patch(station.place(), station.etag(), &json!({"charger": "YAK-1"})).await;
    assert!(names(&platform, "?q=zebra").await.is_empty());
    assert_eq!(names(&platform, "?q=yak").await, ["Market"]);
    platform.delete(station.place(), moved.etag()).await;
    assert!(names(&platform, "?q=yak").await.is_empty());
    platform.delete(created.place(), changed.etag()).await;
    assert!(names(&platform, "?q=market").await.is_empty());
}

#[tokio::test]
async fn near_sorts_by_distance_also_over_the_date_line_and_at_a_pole() {
    let platform = Platform::start().await;
    let places = [
        ("west of the line", "-16.8", "179.99"),
        ("east of the line", "-16.8", "-179.99"),
        ("farther east", "-16.8", "-179.9"),
        ("pole, day", "89.99", "10"),
        ("pole, night", "89.99", "-170"),
        ("Hamburg", "53.541290", "9.984160"),
        ("Hamburg, north", "53.571290", "9.984160"),
    ];
    for (name, latitude, longitude) in places {
        platform.created("/api/v1/locations", &at(name, latitude, longitude)).await;
    }
    let cases: [(&str, &[&str]); 8] = [
        ("?near=-16.8,179.995", &["west of the line", "east of the line"]),
        ("?near=-16.8,-179.995", &["east of the line", "west of the line"]),
        ("?near=-16.8,180&radius_m=20000", &["west of the line", "east of the line", "farther east"]),
        ("?near=89.99,10.01", &["pole, day", "pole, night"]),
        ("?near=53.541290,9.984160", &["Hamburg", "Hamburg, north"]),
        ("?near=53.541290,9.984160&radius_m=3000", &["Hamburg"]),
        ("?near=53.541290,9.984160&q=north", &["Hamburg, north"]),
        ("?near=0,0&radius_m=100000", &[]),
    ];
    for (query, expected) in cases {
        assert_eq!(names(&platform, query).await, expected, "{query}");
    }
    let found = platform.get("/api/v1/locations?near=53.541290,9.984160").await.body;
    let metres: Vec<i64> =
        found["items"].as_array().unwrap().iter().map(|item| item["distance_m"].as_i64().unwrap()).collect();
    assert_eq!(metres, [0, 3336]);
    let all = platform.get("/api/v1/locations").await.body;
    assert!(all["items"].as_array().unwrap().iter().all(|item| item.get("distance_m").is_none()));
}

#[tokio::test]
async fn one_evse_must_have_all_that_is_asked_for() {
    let platform = Platform::start().await;
    let slow = json!({"standard": "IEC_62196_T2", "format": "SOCKET", "power_type": "AC_3_PHASE", "max_power_w": 22_000});
    let fast = connector(150_000);
    for (name, evses) in [
        ("both", json!([{"connectors": [slow, fast]}])),
        ("one each", json!([{"connectors": [slow]}, {"connectors": [fast]}])),
        ("slow", json!([{"connectors": [slow]}])),
        ("none", json!([])),
    ] {
        let location = platform.location(name).await.id();
        platform.created("/api/v1/stations", &json!({"location_id": location, "evses": evses})).await;
    }
    let cases: [(&str, &[&str]); 7] = [
        ("connector=IEC_62196_T2", &["both", "one each", "slow"]),
        ("connector=IEC_62196_T2_COMBO", &["both", "one each"]),
        ("min_power_w=22000", &["both", "one each", "slow"]),
        ("min_power_w=22001", &["both", "one each"]),
        ("connector=IEC_62196_T2&min_power_w=22001", &[]),
        ("available=true", &[]),
        ("available=false", &["both", "one each", "slow", "none"]),
    ];
    for (filter, expected) in cases {
        for search in ["", "&q=kai", "&near=53.541290,9.984160"] {
            let found = names(&platform, &format!("?{filter}{search}")).await;
            assert_eq!(found, expected, "{filter}{search}");
        }
    }
}

#[tokio::test]
async fn a_malformed_search_names_its_parameter() {
    let platform = Platform::start().await;
    for (query, field) in [
        ("near=53.5", "near"),
        ("near=53.5,200", "near"),
        ("near=91,9", "near"),
        ("near=a,b", "near"),
        ("near=", "near"),
        ("near=53.5,9.9&radius_m=0", "radius_m"),
        ("near=53.5,9.9&radius_m=100001", "radius_m"),
        ("radius_m=5000", "radius_m"),
        ("connector=SCHUKO", "connector"),
        ("min_power_w=0", "min_power_w"),
        ("min_power_w=1e3", "min_power_w"),
        ("available=yes", "available"),
        ("standard=CHADEMO", "query"),
    ] {
        let answer = platform.get(&format!("/api/v1/locations?{query}")).await;
        assert_eq!(answer.refusal(), (400, field), "{query}: {}", answer.text);
    }
    let cursor: Value = platform.get("/api/v1/locations?limit=1").await.body["cursor"].clone();
    assert_eq!(cursor, Value::Null);
    for name in ["a", "b"] {
        platform.location(name).await;
    }
    let by_id = platform.get("/api/v1/locations?limit=1").await.body["cursor"].clone();
    let other = format!("/api/v1/locations?q=kai&cursor={}", by_id.as_str().unwrap());
    assert_eq!(platform.get(&other).await.refusal(), (400, "cursor"), "a cursor of another search");
}
