//! Locations and stations through their life: created, read, listed, changed, deleted.

use serde_json::{Value, json};
use tests::platform::{Platform, connector, location};

#[tokio::test]
async fn a_location_keeps_every_field_and_shows_it_as_created() {
    let platform = Platform::start().await;
    let times = json!({
        "twentyfourseven": false,
        "regular_hours": [
            {"weekday": 1, "period_begin": "08:00", "period_end": "12:00"},
            {"weekday": 1, "period_begin": "12:00", "period_end": "24:00"},
        ],
        "exceptional_openings": [
            {"period_begin": "2027-01-01T00:00:00Z", "period_end": "2027-01-02T00:00:00Z"},
        ],
        "exceptional_closings": [
            {"period_begin": "2027-12-24T00:00:00Z", "period_end": "2027-12-26T00:00:00Z"},
        ],
    });
    let mut draft = json!({
        "id": "123e4567-e89b-12d3-a456-426614174000", "name": "Café am Müggelsee", "address": "Kai 1",
        "postal_code": "12587", "city": "Berlin", "country": "DEU", "time_zone": "Europe/Berlin",
        "coordinates": {"latitude": "52.5", "longitude": "-13.4049541"}, "opening_times": times,
        "tariff_id": "223e4567-e89b-12d3-a456-426614174000", "booking_terms": {"slot_minutes": 15, "noshow_fee": 500},
    });
    let created = platform.created("/api/v1/locations", &draft).await;
    assert_eq!(created.place(), "/api/v1/locations/123e4567-e89b-12d3-a456-426614174000");
    let read = platform.get(created.place()).await;
    assert_eq!((read.status, read.etag()), (200, created.etag()));
    assert_eq!(read.body, created.body);
    assert_eq!(
        platform.get("/api/v1/locations").await.body,
        json!({"items": [created.body], "cursor": null})
    );
    draft["coordinates"] = json!({"latitude": "52.500000", "longitude": "-13.404954"});
    for (name, value) in draft.as_object().unwrap() {
        if name != "booking_terms" {
            assert_eq!(created.body[name], *value, "{name}");
        }
    }
    let terms = &created.body["booking_terms"];
    assert_eq!(
        (&terms["slot_minutes"], &terms["noshow_fee"], &terms["max_minutes"]),
        (&json!(15), &json!(500), &json!(240))
    );
    let again = platform.post("/api/v1/locations", &draft).await;
    assert_eq!(again.refusal(), (409, "id"));
}

#[tokio::test]
async fn a_station_keeps_every_field_and_shows_it_as_created() {
    let platform = Platform::start().await;
    let location = platform.location("Harbour garage").await;
    let draft = json!({
        "id": "123e4567-e89b-12d3-a456-426614174000", "location_id": location.id(), "charger": "HAM 0001",
        "name": "Left", "access": "list", "tariff_id": "223e4567-e89b-12d3-a456-426614174000",
        "evses": [
            {"id": "323e4567-e89b-12d3-a456-426614174000", "number": 7,
             "tariff_id": "423e4567-e89b-12d3-a456-426614174000", "connectors": [connector(150_000)]},
            {"connectors": [connector(50_000), {"number": 9, "standard": "IEC_62196_T2", "format": "SOCKET",
             "power_type": "AC_3_PHASE", "max_power_w": 22_000}]},
        ],
    });
    let created = platform.created("/api/v1/stations", &draft).await;
    assert_eq!(created.place(), format!("/api/v1/stations/{}", created.id()));
    let read = platform.get(created.place()).await;
    assert_eq!((read.status, read.etag(), &read.body), (200, created.etag(), &created.body));
    for query in ["", "?charger=HAM%200001", &format!("?location_id={}", location.id())] {
        let listed = platform.get(&format!("/api/v1/stations{query}")).await.body;
        assert_eq!(listed, json!({"items": [created.body], "cursor": null}), "{query}");
    }
    let elsewhere = platform.get(&format!("/api/v1/stations?location_id={}", created.id())).await.body;
    assert_eq!(elsewhere["items"], json!([]));
    for name in ["id", "location_id", "charger", "name", "access", "tariff_id"] {
        assert_eq!(created.body[name], draft[name], "{name}");
    }
    let evses = created.body["evses"].as_array().unwrap();
    let numbers = |evse: &Value| {
        let connectors = evse["connectors"].as_array().unwrap();
        let of_connectors: Vec<i64> =
            connectors.iter().map(|connector| connector["number"].as_i64().unwrap()).collect();
        (evse["number"].as_i64().unwrap(), of_connectors)
    };
    let shown: Vec<_> = evses.iter().map(numbers).collect();
    assert_eq!(shown, [(2, vec![2, 9]), (7, vec![1])], "by number");
    assert_eq!(evses[1]["id"], "323e4567-e89b-12d3-a456-426614174000");
    assert_eq!(
        (&evses[0]["status"], &evses[0]["connectors"][0]["status"]),
        (&json!("UNKNOWN"), &Value::Null)
    );
    assert_eq!(platform.get(&format!("{}/status-log", created.place())).await.body["items"], json!([]));
}

#[tokio::test]
async fn pages_have_each_document_once_whatever_their_size() {
    let platform = Platform::start().await;
    let home = platform.location("Harbour garage").await.id();
    let (mut locations, mut stations, mut at_home) = (vec![home.clone()], Vec::new(), Vec::new());
    for n in 0..7 {
        locations.push(platform.location(&format!("Harbour {n}")).await.id());
        let mut draft = json!({ "charger": format!("HAM-{n}") });
        if n % 2 == 0 {
            draft["location_id"] = json!(home);
        }
        let station = platform.created("/api/v1/stations", &draft).await.id();
        stations.push(station.clone());
        if n % 2 == 0 {
            at_home.push(station);
        }
    }
    for limit in [1, 2, 3, 7, 8, 500] {
        assert_eq!(platform.pages("/api/v1/locations", limit).await, locations, "{limit}");
        assert_eq!(platform.pages("/api/v1/stations", limit).await, stations, "{limit}");
        let here = format!("/api/v1/stations?location_id={home}");
        assert_eq!(platform.pages(&here, limit).await, at_home, "{limit}");
        for search in ["?q=har", "?near=53.54129,9.98416"] {
            let mut found = platform.pages(&format!("/api/v1/locations{search}"), limit).await;
            found.sort();
            assert_eq!(found, locations, "{search} {limit}");
        }
    }
    for list in ["/api/v1/locations", "/api/v1/stations"] {
        for (query, field) in [
            ("limit=0", "limit"),
            ("limit=501", "limit"),
            ("limit=-1", "limit"),
            ("limit=", "limit"),
            ("limit=ten", "limit"),
            ("cursor=x", "cursor"),
            ("cursor=bnVsbA", "cursor"),
            ("limit=1&limit=2", "query"),
            ("page=2", "query"),
        ] {
            assert_eq!(
                platform.get(&format!("{list}?{query}")).await.refusal(),
                (400, field),
                "{list} {query}"
            );
        }
    }
}

#[tokio::test]
async fn a_patch_merges_and_a_change_of_nothing_changes_nothing() {
    let platform = Platform::start().await;
    let mut draft = location("Harbour garage");
    draft["booking_terms"] = json!({"slot_minutes": 15});
    let created = platform.created("/api/v1/locations", &draft).await;
    let patch = json!({"name": "Harbour", "postal_code": "20457", "booking_terms": {"noshow_fee": 100}});
    let changed = platform.patch(created.place(), created.etag(), &patch).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    assert_ne!(changed.etag(), created.etag());
    assert_eq!(platform.get(created.place()).await.body, changed.body);
    assert_eq!((&changed.body["name"], &changed.body["postal_code"]), (&json!("Harbour"), &json!("20457")));
    assert_eq!(changed.body["address"], created.body["address"]);
    let terms = &changed.body["booking_terms"];
    assert_eq!((&terms["slot_minutes"], &terms["noshow_fee"]), (&json!(15), &json!(100)));
    let same = platform.patch(created.place(), changed.etag(), &json!({"name": "Harbour"})).await;
    assert_eq!((same.status, same.etag(), &same.body), (200, changed.etag(), &changed.body));
    let without = json!({"postal_code": null, "booking_terms": null});
    let without = platform.patch(created.place(), "*", &without).await;
    assert_eq!((&without.body["postal_code"], &without.body["booking_terms"]), (&Value::Null, &Value::Null));
    let nameless = platform.patch(created.place(), "*", &json!({"name": null})).await;
    assert_eq!(nameless.refusal(), (400, "name"));
}

#[tokio::test]
async fn evses_keep_their_ids_over_a_change() {
    let platform = Platform::start().await;
    let evses = json!([{"connectors": [connector(50_000)]}, {"connectors": [connector(150_000)]}]);
    let created = platform.created("/api/v1/stations", &json!({"charger": "HAM-1", "evses": evses})).await;
    let (first, second) = (&created.body["evses"][0], &created.body["evses"][1]);
    let swapped = json!({"evses": [
        {"id": second["id"], "number": 1, "connectors": [connector(100_000)]},
        {"id": first["id"], "number": 2, "connectors": [connector(50_000)]},
        {"connectors": [connector(22_000)]},
    ]});
    let changed = platform.patch(created.place(), created.etag(), &swapped).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    let ids: Vec<&Value> = changed.body["evses"].as_array().unwrap().iter().map(|evse| &evse["id"]).collect();
    assert_eq!(ids[..2], [&second["id"], &first["id"]]);
    assert_eq!(ids.len(), 3);
    let renamed = platform.patch(created.place(), changed.etag(), &json!({"name": "Left"})).await;
    assert_eq!(renamed.body["evses"], changed.body["evses"]);
}

#[tokio::test]
async fn the_order_of_refusals_is_404_428_412_400_409() {
    let platform = Platform::start().await;
    let (one, other) = (platform.station("HAM-1").await, platform.station("HAM-2").await);
    let nowhere = "/api/v1/stations/01a1fdc4-3193-72e3-bff0-3fbc4117778f";
    let taken = json!({"charger": "HAM-2"});
    let bad = json!({"charger": "HAM-2", "colour": "red"});
    let unconditional = async |path: &str, body: &Value| {
        tests::platform::Answer::to(platform.request(reqwest::Method::PATCH, path).json(body)).await
    };
    assert_eq!(unconditional(nowhere, &bad).await.refusal(), (404, "id"));
    assert_eq!(unconditional(one.place(), &bad).await.refusal(), (428, "if-match"));
    assert_eq!(platform.patch(one.place(), "\"7\"", &bad).await.refusal(), (412, "if-match"));
    assert_eq!(platform.patch(one.place(), "W/\"1\"", &bad).await.refusal(), (412, "if-match"));
    assert_eq!(platform.patch(one.place(), one.etag(), &bad).await.refusal(), (400, "colour"));
    assert_eq!(platform.patch(one.place(), one.etag(), &taken).await.refusal(), (409, "charger"));
    let fixed = platform.patch(one.place(), one.etag(), &json!({"id": other.id()})).await;
    assert_eq!(fixed.refusal(), (400, "id"));
    assert_eq!(platform.get(one.place()).await.body, one.body, "nothing has changed");
    for path in ["/api/v1/stations/7", "/api/v1/stations/%FF", "/api/v1/locations/x", "/api/v1/locations/"] {
        assert_eq!(platform.patch(path, "*", &bad).await.status, 404, "{path}");
        assert_eq!(platform.get(path).await.status, 404, "{path}");
        assert_eq!(platform.delete(path, "*").await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn what_is_in_use_is_not_deleted_and_what_is_deleted_is_gone() {
    let platform = Platform::start().await;
    let location = platform.location("Harbour garage").await;
    let draft = json!({"location_id": location.id(), "charger": "HAM-1"});
    let station = platform.created("/api/v1/stations", &draft).await;
    let delete =
        async |path: &str| tests::platform::Answer::to(platform.request(reqwest::Method::DELETE, path)).await;
    assert_eq!(delete(location.place()).await.refusal(), (428, "if-match"));
    assert_eq!(platform.delete(location.place(), "\"7\"").await.refusal(), (412, "if-match"));
    assert_eq!(platform.delete(location.place(), location.etag()).await.refusal(), (409, "stations"));
    assert_eq!(delete(station.place()).await.refusal(), (428, "if-match"));
    assert_eq!(platform.delete(station.place(), "\"7\"").await.refusal(), (412, "if-match"));
    for document in [&station, &location] {
        let deleted = platform.delete(document.place(), document.etag()).await;
        assert_eq!((deleted.status, deleted.text.as_str()), (204, ""));
        assert_eq!(platform.get(document.place()).await.refusal(), (404, "id"));
        assert_eq!(platform.delete(document.place(), document.etag()).await.refusal(), (404, "id"));
    }
    assert_eq!(platform.get("/api/v1/locations?q=harbour").await.body["items"], json!([]));
    platform.station("HAM-1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_changes_to_one_version_exactly_one_is_made() {
    let platform = Platform::start().await;
    let created = platform.station("HAM-1").await;
    let names: Vec<Value> = (0..20).map(|n| json!({"name": format!("Name {n}")})).collect();
    let changes = names.iter().map(|patch| platform.patch(created.place(), created.etag(), patch));
    let answers = futures_util::future::join_all(changes).await;
    let made: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(made.len(), 1);
    assert!(answers.iter().all(|answer| [200, 412].contains(&answer.status)));
    assert_eq!(platform.get(created.place()).await.body, made[0].body);
}
