//! The timestamps by which `GET /requests` filters.

use common::clock::Nanos;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::openapi::schema::{AnyOfBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};

/// The format of a timestamp.
pub(super) fn schema() -> Schema {
    let date_time = SchemaFormat::KnownFormat(KnownFormat::DateTime);
    let text = ObjectBuilder::new().schema_type(Type::String).format(Some(date_time));
    let nanos = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0_u64)).maximum(Some(u64::MAX));
    let about = "RFC 3339, or nanoseconds since 1970";
    AnyOfBuilder::new().item(text).item(nanos).description(Some(about)).build().into()
}

/// For `deserialize_with`: nanoseconds since 1970, or RFC 3339.
pub(super) fn read<'de, D: Deserializer<'de>>(text: D) -> Result<Option<Nanos>, D::Error> {
    let expected =
        || D::Error::custom("expected RFC 3339 such as 2026-11-21T10:00:00Z, or nanoseconds since 1970");
    Option::<String>::deserialize(text)?.map(|text| parse(&text).ok_or_else(expected)).transpose()
}

fn parse(text: &str) -> Option<Nanos> {
    if let Ok(nanos) = text.parse() {
        return Some(nanos);
    }
    // A `+` that was not escaped is a space in a query.
    let moment = OffsetDateTime::parse(&text.replace(' ', "+"), &Rfc3339).ok()?;
    u64::try_from(moment.unix_timestamp_nanos()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_given_in_nanoseconds_or_as_rfc_3339_has_it() {
        let noon = 1_795_262_400_000_000_000;
        for text in [
            "1795262400000000000",
            "2026-11-21T12:00:00Z",
            "2026-11-21T13:00:00+01:00",
            "2026-11-21T13:00:00 01:00",
            "2026-11-21T12:00:00.000Z",
        ] {
            assert_eq!(parse(text), Some(noon), "{text}");
        }
        for text in ["", "yesterday", "-1", "2026-11-21", "2026-11-21T12:00:00", "1969-12-31T23:59:59Z"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
