//! What happens at chargers, on the live stream: each reader has the events of the places that its role reaches.

use charging::stations::charging_stations;
use reqwest::Method;
use serde_json::{Value, json};
use tests::event_stream::EventStream;
use tests::platform::Platform;
use uuid::Uuid;

use super::accounts::{new_database, unlimited};
use super::ocpp::{Gateway, TAG, start, stop};

/// The events of sessions and connections up to the last of the charger that is unplugged last.
async fn seen(stream: &mut EventStream, last: Uuid) -> Vec<(String, Value)> {
    let mut seen = Vec::new();
    loop {
        let event = stream.next().await.expect("the stream goes on");
        let (kind, station) = (event.data["type"].as_str().unwrap(), &event.data["station_id"]);
        if ["charger.connected", "session.started", "session.stopped"].contains(&kind) {
            seen.push((kind.to_owned(), station.clone()));
        }
        if kind == "session.stopped" && *station == json!(last) {
            return seen;
        }
    }
}

#[tokio::test]
async fn staff_of_one_location_see_the_sessions_of_its_chargers_only() {
    let gateway = Gateway::on(&new_database().await, &[]).await;
    gateway.tag("always").await;
    let mut deployment = gateway.deployment.clone();
    deployment
        .environment
        .extend(unlimited().await.environment.into_iter().filter(|(name, _)| name.contains("RATE")));
    let platform = Platform::of(deployment).await;
    let mut stations = Vec::new();
    for (place, charger) in [("There", "CP-2"), ("Here", "CP-1")] {
        let location = platform.location(place).await.id();
        let draft = json!({"charger": charger, "location_id": location});
        let station: Uuid = platform.created("/api/v1/stations", &draft).await.id().parse().unwrap();
        stations.push((charger, station, location));
    }
    let (_, here, location) = stations[1].clone();
    let role = json!([{"role": "staff", "location_ids": [location]}]);
    let staff = platform.register_with("staff", &role).await;
    let operator = platform.register_with("operator", &json!([{"role": "operator"}])).await;
    let mut streams = Vec::new();
    for person in [&staff, &operator] {
        let stream = EventStream::open(person.request(&platform, Method::GET, "/api/v1/live")).await;
        streams.push(stream.begun().await);
    }
    for (charger, station, _) in &stations {
        let mut socket = gateway.connect(charger).await;
        let boot = json!({"chargePointVendor": "Acme", "chargePointModel": "One"});
        assert_eq!(socket.call("BootNotification", boot).await["status"], "Accepted");
        let started = socket.call("StartTransaction", start("2026-11-01T10:00:00Z")).await;
        assert_eq!(started["idTagInfo"]["status"], "Accepted", "{TAG}");
        socket.call("StopTransaction", stop(&started["transactionId"], "2026-11-01T11:00:00Z")).await;
        let found = gateway.db.read(async |tx| charging_stations::find(tx, *station).await).await.unwrap();
        assert!(found.is_some_and(|station| station.row.online));
    }
    let kinds = ["charger.connected", "session.started", "session.stopped"];
    let of = |station: Uuid| kinds.map(|kind| (kind.to_owned(), json!(station)));
    assert_eq!(seen(&mut streams[0], here).await, of(here));
    assert_eq!(seen(&mut streams[1], here).await, [of(stations[0].1), of(here)].concat());
}
