//! A time zone by its IANA name.

use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// An IANA time zone, such as `Europe/Berlin`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, example = "Europe/Berlin")]
pub struct TimeZone(String);

impl TimeZone {
    /// Its name, in the spelling of the time zone database.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TimeZone {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let zone = jiff::tz::TimeZone::get(text).ok();
        let name = zone.and_then(|zone| zone.iana_name().map(str::to_owned));
        name.map(Self).ok_or("expected a time zone of the IANA database, such as Europe/Berlin")
    }
}

impl<'de> Deserialize<'de> for TimeZone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_known_without_the_files_of_the_machine_and_has_one_spelling() {
        assert_eq!("europe/berlin".parse::<TimeZone>().unwrap().as_str(), "Europe/Berlin");
        assert!("UTC".parse::<TimeZone>().is_ok());
        for unknown in ["", "Europe/Atlantis", "CEST", "+02:00", "../etc/passwd"] {
            assert!(unknown.parse::<TimeZone>().is_err(), "{unknown}");
        }
    }
}
