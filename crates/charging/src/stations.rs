//! Locations, and the charging stations at them with their EVSEs and connectors. The words are OCPI's; a station is also a
//! charger, under its OCPP name, and its UUID is the `station_id` of the access lists.

pub mod booking_terms;
pub mod charging_stations;
pub mod connectors;
pub mod coordinates;
mod error;
pub(crate) mod id;
pub mod locations;
pub mod opening_times;
pub mod search;
pub mod status_log;
mod text;
mod time_zone;

pub use self::booking_terms::BookingTerms;
pub use self::charging_stations::{ConnectorDraft, EvseDraft, StationDraft};
pub use self::coordinates::Coordinates;
pub(crate) use self::error::within as error_within;
pub use self::error::{Refused, StationError};
pub use self::locations::LocationDraft;
pub use self::opening_times::OpeningTimes;
pub use self::text::{ChargerName, Country, Label};
pub use self::time_zone::TimeZone;
