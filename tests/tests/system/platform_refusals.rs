//! A document that is refused names the member at fault; a body that cannot be read says why.

use reqwest::Method;
use serde_json::{Value, json};
use tests::platform::{Answer, Platform, connector, location};

/// Output of `printf '{}' | gzip -n`
const GZIP: &[u8] =
    &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xab, 0xae, 5, 0, 0x43, 0xbf, 0xa6, 0xa3, 2, 0, 0, 0];

/// The document with the value at this path, `name` or `/name/0/name`, replaced; removed if null.
fn with(document: &Value, path: &str, value: Value) -> Value {
    let mut document = document.clone();
    match document.pointer_mut(path) {
        Some(place) => *place = value,
        None => {
            let (parent, name) = path.rsplit_once('/').unwrap();
            document.pointer_mut(parent).unwrap()[name] = value;
        }
    }
    document
}

#[tokio::test]
async fn a_refused_location_names_the_member_at_fault() {
    let platform = Platform::start().await;
    let hours = |begin: &str, end: &str| json!({"weekday": 1, "period_begin": begin, "period_end": end});
    let times = |hours: Value| json!({"twentyfourseven": false, "regular_hours": hours});
    let overlapping = times(json!([hours("08:00", "12:00"), hours("11:00", "13:00")]));
    let good = location("Harbour garage");
    let cases = [
        ("/colour", json!("red"), "colour"),
        ("/coordinates/altitude", json!("7"), "coordinates.altitude"),
        ("/time_zone", json!("Europe/Hamburg"), "time_zone"),
        ("/time_zone", json!("+01:00"), "time_zone"),
        ("/coordinates/longitude", json!("200"), "coordinates.longitude"),
        ("/coordinates/longitude", json!(9.98), "coordinates.longitude"),
        ("/coordinates/latitude", json!("90.1"), "coordinates.latitude"),
        ("/coordinates", Value::Null, "coordinates.latitude"),
        ("/name", Value::Null, "name"),
        ("/name", json!(""), "name"),
        ("/name", json!(" x"), "name"),
        ("/name", json!("a\u{0}b"), "name"),
        ("/name", json!("x".repeat(256)), "name"),
        ("/country", json!("Germany"), "country"),
        ("/id", json!("7"), "id"),
        ("/tariff_id", json!("7"), "tariff_id"),
        ("/opening_times", overlapping, "opening_times.regular_hours.1"),
        ("/opening_times", times(json!([hours("8", "9")])), "opening_times.regular_hours.0.period_begin"),
        ("/opening_times", times(json!([{"weekday": 1}])), "opening_times.regular_hours.0.period_begin"),
        ("/opening_times", json!({}), "opening_times.twentyfourseven"),
        ("/booking_terms", json!({"slot_minutes": 1}), "booking_terms.slot_minutes"),
        ("/booking_terms", json!({"slot": 1}), "booking_terms.slot"),
        ("/booking_terms", json!({"slot_minutes": 1e30}), "booking_terms.slot_minutes"),
    ];
    for (path, value, field) in cases {
        let draft = with(&good, path, value.clone());
        let answer = platform.post("/api/v1/locations", &draft).await;
        assert_eq!(answer.refusal(), (400, field), "{path} {value}: {}", answer.text);
    }
    assert_eq!(platform.get("/api/v1/locations").await.body["items"], json!([]));
}

#[tokio::test]
async fn a_refused_station_names_the_member_at_fault() {
    let platform = Platform::start().await;
    let taken = json!({"charger": "HAM-1", "evses": [{"connectors": [connector(1)]}]});
    let taken = platform.created("/api/v1/stations", &taken).await;
    let good = json!({"charger": "HAM-2", "evses": [{"connectors": [connector(50_000)]}]});
    let evse = |evse: Value| json!([evse]);
    let nothing = "01a1fdc4-3193-72e3-bff0-3fbc4117778f";
    let cases = [
        ("/colour", json!("red"), 400, "colour"),
        ("/evses/0/colour", json!("red"), 400, "evses.0.colour"),
        ("/evses/0/connectors/0/colour", json!("red"), 400, "evses.0.connectors.0.colour"),
        ("/evses/0/connectors/0/standard", json!("SCHUKO"), 400, "evses.0.connectors.0.standard"),
        ("/evses/0/connectors/0/max_power_w", json!(0), 400, "evses.0.connectors.0.max_power_w"),
        ("/evses/0/connectors/0/number", json!(257), 400, "evses.0.connectors.0.number"),
        ("/evses", evse(json!({"connectors": []})), 400, "evses.0.connectors"),
        ("/evses", evse(json!({})), 400, "evses.0.connectors"),
        ("/evses", json!({}), 400, "evses"),
        ("/evses", json!([1]), 400, "evses.0.connectors"),
        ("/charger", json!("HAM:1"), 400, "charger"),
        ("/access", json!("none"), 400, "access"),
        ("/location_id", json!(nothing), 400, "location_id"),
        ("/location_id", json!("7"), 400, "location_id"),
        ("/charger", json!("HAM-1"), 409, "charger"),
        ("/id", json!(taken.id()), 409, "id"),
        ("/evses/0/id", taken.body["evses"][0]["id"].clone(), 409, "evses.0.id"),
        (
            "/evses/0/connectors/0/id",
            taken.body["evses"][0]["connectors"][0]["id"].clone(),
            409,
            "evses.0.connectors.0.id",
        ),
    ];
    for (path, value, status, field) in cases {
        let draft = with(&good, path, value.clone());
        let answer = platform.post("/api/v1/stations", &draft).await;
        assert_eq!(answer.refusal(), (status, field), "{path} {value}: {}", answer.text);
    }
    assert_eq!(platform.pages("/api/v1/stations", 500).await, [taken.id()]);
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_refused_with_the_reason() {
    let platform = Platform::start().await;
    let station = platform.station("HAM-1").await;
    let doubled = br#"{"charger": "HAM-2", "charger": "HAM-3"}"#;
    let patch = |body: Vec<u8>| {
        let request = platform.request(Method::PATCH, station.place()).header("if-match", "*");
        request.header("content-type", "application/merge-patch+json").body(body)
    };
    let post = |body: Vec<u8>| {
        platform
            .request(Method::POST, "/api/v1/stations")
            .header("content-type", "application/json")
            .body(body)
    };
    for request in [&patch as &dyn Fn(Vec<u8>) -> reqwest::RequestBuilder, &post] {
        let refused = async |body: &[u8]| Answer::to(request(body.to_vec())).await;
        for body in
            [&b""[..], b"{", b"[1]", b"null", b"{} x", doubled, b"\xff\xfe{\0}\0", b"{\"charger\": \"\xff\"}"]
        {
            assert_eq!(refused(body).await.refusal(), (400, "body"), "{}", String::from_utf8_lossy(body));
        }
        assert_eq!(refused(GZIP).await.refusal(), (415, "content-encoding"));
        for coding in ["gzip", "br", "identity, gzip"] {
            let answer = Answer::to(request(GZIP.to_vec()).header("content-encoding", coding)).await;
            assert_eq!(answer.refusal(), (415, "content-encoding"), "{coding}");
        }
        let nested = [vec![b'['; 200], vec![b']'; 200]].concat();
        assert_eq!(refused(&nested).await.refusal(), (400, "body"));
        assert_eq!(refused(&vec![b' '; 256 * 1024 + 1]).await.refusal(), (413, "body"));
        assert_eq!(refused(&vec![b' '; 256 * 1024]).await.refusal(), (400, "body"));
    }
    let request =
        platform.request(Method::POST, "/api/v1/locations").header("content-type", "application/json");
    assert_eq!(Answer::to(request.body(vec![b' '; 64 * 1024 + 1])).await.refusal(), (413, "body"));
    let query = platform.post("/api/v1/stations?charger=HAM-2", &json!({})).await;
    assert_eq!(query.refusal(), (400, "query"));
    assert_eq!(platform.get(station.place()).await.body, station.body);
    assert_eq!(platform.pages("/api/v1/stations", 500).await, [station.id()]);
}

#[tokio::test]
async fn other_methods_and_paths_are_refused_with_what_is_allowed() {
    let platform = Platform::start().await;
    for (path, allow) in [
        ("/api/v1/locations", "GET, POST"),
        ("/api/v1/locations?near=1,2", "GET, POST"),
        ("/api/v1/stations/7", "GET, PATCH, DELETE"),
        ("/api/v1/live", "GET"),
    ] {
        let answer = Answer::to(platform.request(Method::PUT, path)).await;
        assert_eq!((answer.refusal(), answer.header("allow")), ((405, "method"), Some(allow)), "{path}");
    }
    for path in ["/api/v1", "/api/v1/vehicles", "/api/v2/locations", "/api/v1/stations/7/8"] {
        assert_eq!(platform.get(path).await.refusal(), (404, "path"), "{path}");
    }
}
