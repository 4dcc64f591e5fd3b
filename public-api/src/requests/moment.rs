//! Times for readers that nanoseconds do not suit: JavaScript's numbers hold no more than 2^53 exactly.

use common::clock::Nanos;
use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A time, shown in RFC 3339 with as much of a fraction as it has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment(pub(super) Nanos);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0));
        let text = moment.map_err(serde::ser::Error::custom)?.format(&Rfc3339);
        serializer.serialize_str(&text.map_err(serde::ser::Error::custom)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_shown_to_the_nanosecond_and_every_number_is_one() {
        for (nanos, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_795_262_400_000_000_000, "2026-11-21T12:00:00Z"),
            (1_795_262_400_000_000_001, "2026-11-21T12:00:00.000000001Z"),
            (u64::MAX, "2554-07-21T23:34:33.709551615Z"),
        ] {
            assert_eq!(serde_json::to_value(Moment(nanos)).unwrap(), text);
        }
    }
}
