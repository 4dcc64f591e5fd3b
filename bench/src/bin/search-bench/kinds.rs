//! The kinds of search that are measured: every filter alone and in combination, with many, few or no matching records.

use common::decision::Decision;
use store::{DeliveryState, Filter};

use crate::records::{Records, SPAN};

const HOUR: u64 = 3_600_000_000_000;

/// Makes a filter that matches the record with this number, unless it is meant to match none.
type Make = fn(&Records, u64) -> Filter;

/// The name, which says how many records match, and how such a filter is made.
pub(crate) const KINDS: [(&str, Make); 26] = [
    ("none", |_, _| Filter::default()),
    ("station (1 in 2,000)", station),
    ("busy station (1 in 20)", |_, _| busy_station()),
    ("driver (1 in 200,000)", driver),
    ("busy driver (1 in 100)", |_, _| busy_driver()),
    ("status allowed (9 in 10)", |_, _| with_status(Decision::Allowed)),
    ("status not_allowed (1 in 12)", |_, _| with_status(Decision::NotAllowed)),
    ("status invalid (1 in 200)", |_, _| with_status(Decision::Invalid)),
    ("an hour", |records, at| within(records, at, HOUR, Filter::default())),
    ("a week", |records, at| within(records, at, 168 * HOUR, Filter::default())),
    ("undeliverable (1 in 100)", |_, _| delivery(DeliveryState::Undeliverable)),
    ("pending (1 in 2,000)", |_, _| delivery(DeliveryState::Pending)),
    ("station, status", |records, at| Filter { status: Some(Records::decision(at)), ..station(records, at) }),
    ("station, status invalid", |records, at| Filter {
        status: Some(Decision::Invalid),
        ..station(records, at)
    }),
    ("busy station, status invalid", |_, _| Filter { status: Some(Decision::Invalid), ..busy_station() }),
    ("driver, status", |records, at| Filter { status: Some(Records::decision(at)), ..driver(records, at) }),
    ("busy driver, status invalid", |_, _| Filter { status: Some(Decision::Invalid), ..busy_driver() }),
    ("station, driver", |records, at| Filter {
        driver_token: Some(records.key(at).driver_token),
        ..station(records, at)
    }),
    ("busy driver, some station", |records, at| Filter {
        station_id: Some(records.key(at).station_id),
        ..busy_driver()
    }),
    ("status invalid, an hour", |records, at| within(records, at, HOUR, with_status(Decision::Invalid))),
    ("station, a day", |records, at| within(records, at, 24 * HOUR, station(records, at))),
    ("station, undeliverable", |records, at| Filter {
        delivery: Some(DeliveryState::Undeliverable),
        ..station(records, at)
    }),
    ("invalid, undeliverable (1 in 20,000)", |_, _| Filter {
        delivery: Some(DeliveryState::Undeliverable),
        ..with_status(Decision::Invalid)
    }),
    ("busy station, pending", |_, _| Filter { delivery: Some(DeliveryState::Pending), ..busy_station() }),
    ("a driver who never was", |_, _| Filter {
        driver_token: Some(common::ids::PresentedToken::new("driver-who-never-was")),
        ..Filter::default()
    }),
    ("a station that never was", |_, _| Filter {
        station_id: Some(common::ids::StationId::from_uuid(uuid::Uuid::nil())),
        ..Filter::default()
    }),
];

fn station(records: &Records, at: u64) -> Filter {
    Filter { station_id: Some(records.key(at).station_id), ..Filter::default() }
}

fn driver(records: &Records, at: u64) -> Filter {
    Filter { driver_token: Some(records.key(at).driver_token), ..Filter::default() }
}

fn busy_station() -> Filter {
    Filter { station_id: Some(Records::station(0)), ..Filter::default() }
}

fn busy_driver() -> Filter {
    Filter { driver_token: Some(Records::driver(0)), ..Filter::default() }
}

fn with_status(status: Decision) -> Filter {
    Filter { status: Some(status), ..Filter::default() }
}

fn delivery(state: DeliveryState) -> Filter {
    Filter { delivery: Some(state), ..Filter::default() }
}

/// Limits the filter to a time span that ends right after the record.
fn within(records: &Records, at: u64, length: u64, filter: Filter) -> Filter {
    let to = records.key(at).start_ns + SPAN / records.count;
    Filter { from_ns: Some(to.saturating_sub(length)), to_ns: Some(to), ..filter }
}

/// The filter as the query of `GET /requests`.
pub(crate) fn query(filter: &Filter) -> Vec<(&'static str, String)> {
    let moment = |moment: Option<u64>| moment.map(|moment| moment.to_string());
    let pairs = [
        ("station_id", filter.station_id.map(|station| station.to_string())),
        ("driver_token", filter.driver_token.as_ref().map(|token| token.expose().to_owned())),
        ("status", filter.status.map(|status| status.to_string())),
        ("delivery", filter.delivery.map(|state| state.as_str().to_owned())),
        ("from", moment(filter.from_ns)),
        ("to", moment(filter.to_ns)),
    ];
    pairs.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}
