//! Documents as an operator writes them.

use charging::Db;
use charging::stations::charging_stations::{self, Station};
use charging::stations::locations::{self, Location};
use charging::stations::{LocationDraft, StationDraft, StationError};
use serde_json::{Value, json};
use uuid::Uuid;

/// A location in Berlin with nothing that is optional.
pub(crate) fn location(name: &str) -> LocationDraft {
    located(name, "52.520008", "13.404954")
}

pub(crate) fn located(name: &str, latitude: &str, longitude: &str) -> LocationDraft {
    let document = json!({
        "name": name, "address": "Musterweg 1", "city": "Berlin", "country": "DEU",
        "coordinates": {"latitude": latitude, "longitude": longitude}, "time_zone": "Europe/Berlin",
    });
    serde_json::from_value(document).unwrap()
}

/// A location with everything.
pub(crate) fn full_location() -> LocationDraft {
    let document = json!({
        "id": Uuid::now_v7(), "name": "Café 'Zur Brücke' \u{1f50c}", "address": "Köpenicker Straße 1", "postal_code": "12555",
        "city": "Berlin", "country": "DE", "coordinates": {"latitude": "-0.000001", "longitude": "-180.0"},
        "time_zone": "Pacific/Apia", "tariff_id": Uuid::now_v7(),
        "opening_times": {
            "twentyfourseven": false,
            "regular_hours": [{"weekday": 1, "period_begin": "08:00", "period_end": "24:00"}],
            "exceptional_openings": [
                {"period_begin": "2027-03-28T01:00:00.123Z", "period_end": "2027-03-28T03:00:00Z"},
            ],
            "exceptional_closings": [],
        },
        "booking_terms": {"slot_minutes": 15, "noshow_fee": 1_000_000_000, "overlap_allowed": true},
    });
    serde_json::from_value(document).unwrap()
}

/// A station whose EVSEs have connectors with these numbers.
pub(crate) fn station(charger: &str, location: Option<Uuid>, evses: &[&[i64]]) -> StationDraft {
    let evses: Vec<Value> = evses.iter().map(|connectors| evse(connectors)).collect();
    let document = json!({"charger": charger, "location_id": location, "evses": evses});
    serde_json::from_value(document).unwrap()
}

fn evse(connectors: &[i64]) -> Value {
    let connector = |number: &i64| {
        json!({
            "number": number, "standard": "IEC_62196_T2", "format": "SOCKET", "power_type": "AC_3_PHASE",
            "max_power_w": 22_000,
        })
    };
    json!({"connectors": connectors.iter().map(connector).collect::<Vec<_>>()})
}

pub(crate) async fn create_location(db: &Db, draft: &LocationDraft) -> Location {
    db.write(async |tx| locations::create(tx, draft).await).await.unwrap()
}

pub(crate) async fn create_station(db: &Db, draft: &StationDraft) -> Station {
    db.write(async |tx| charging_stations::create(tx, draft).await).await.unwrap()
}

pub(crate) async fn find_station(db: &Db, id: Uuid) -> Option<Station> {
    db.read(async |tx| charging_stations::find(tx, id).await).await.unwrap()
}

pub(crate) async fn update_station(
    db: &Db,
    before: &Station,
    draft: &StationDraft,
) -> Result<Station, StationError> {
    db.write(async |tx| charging_stations::update(tx, before.row.id, before.row.version, draft).await).await
}

/// The field of a conflict.
pub(crate) fn conflict<T: std::fmt::Debug>(done: Result<T, StationError>) -> String {
    match done {
        Err(StationError::Conflict(refused)) => refused.field.into_owned(),
        other => panic!("expected a conflict, not {other:?}"),
    }
}

/// The field of a refusal.
pub(crate) fn refused<T: std::fmt::Debug>(done: Result<T, StationError>) -> String {
    match done {
        Err(StationError::Refused(refused)) => refused.field.into_owned(),
        other => panic!("expected a refusal, not {other:?}"),
    }
}
