//! The filters of `GET /requests` and of the stream, from the query.

use common::clock::Nanos;
use common::decision::Decision;
use common::ids::{NotUuid, PresentedToken, StationId};
use http_server::Problem;
use store::{DeliveryState, Filter};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::IntoParams;
use utoipa::openapi::schema::{AnyOfBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};

/// The filters that both share, for the document
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "`read` reads them, so that each error names its field")]
pub(super) struct Params {
    station_id: Option<StationId>,
    driver_token: Option<PresentedToken>,
    status: Option<Decision>,
}

/// The other parameters of a query.
pub(super) type Rest = Vec<(String, String)>;

/// The filters that the stream has too.
const OF_BOTH: [&str; 3] = ["station_id", "driver_token", "status"];

/// Parses the filters of a query, and returns its other parameters too. Only the shared names and `own` are accepted.
pub(super) fn read(query: &str, own: &[&str]) -> Result<(Filter, Rest), Problem> {
    let pairs: Rest = serde_urlencoded::from_str(query)
        .map_err(|error| Problem::invalid("query", format!("the query cannot be read: {error}")))?;
    let (mut filter, mut rest) = (Filter::default(), Rest::new());
    for (at, (name, value)) in pairs.iter().enumerate() {
        if !OF_BOTH.contains(&name.as_str()) && !own.contains(&name.as_str()) {
            let known = [&OF_BOTH, own].concat().join(", ");
            return Err(Problem::invalid("query", format!("unknown parameter `{name}`; expected: {known}")));
        }
        if pairs[..at].iter().any(|(earlier, _)| earlier == name) {
            return Err(Problem::invalid("query", format!("`{name}` is given more than once")));
        }
        if !set(&mut filter, name, value)? {
            rest.push((name.clone(), value.clone()));
        }
    }
    Ok((filter, rest))
}

/// Sets the filter of this name. Returns whether it is a filter.
fn set(filter: &mut Filter, name: &str, value: &str) -> Result<bool, Problem> {
    match name {
        "station_id" => {
            let bad = |error: NotUuid| Problem::invalid("station_id", error.to_string());
            filter.station_id = Some(value.parse().map_err(bad)?);
        }
        "driver_token" => filter.driver_token = Some(PresentedToken::new(value)),
        "status" => {
            let expected = || Problem::invalid("status", "expected allowed, not_allowed, unknown or invalid");
            filter.status = Some(value.parse().map_err(|_| expected())?);
        }
        "delivery" => {
            let states = [DeliveryState::Pending, DeliveryState::Delivered, DeliveryState::Undeliverable];
            let state = states.into_iter().find(|state| state.as_str() == value);
            let expected = || Problem::invalid("delivery", "expected pending, delivered or undeliverable");
            filter.delivery = Some(state.ok_or_else(expected)?);
        }
        "from" => filter.from_ns = Some(moment("from", value)?),
        "to" => filter.to_ns = Some(moment("to", value)?),
        _ => return Ok(false),
    }
    Ok(true)
}

/// The format of a timestamp.
pub(super) fn moment_schema() -> Schema {
    let date_time = SchemaFormat::KnownFormat(KnownFormat::DateTime);
    let text = ObjectBuilder::new().schema_type(Type::String).format(Some(date_time));
    let nanos = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0_u64)).maximum(Some(u64::MAX));
    let about = "RFC 3339, or nanoseconds since 1970";
    AnyOfBuilder::new().item(text).item(nanos).description(Some(about)).build().into()
}

/// Nanoseconds since 1970, or RFC 3339.
fn moment(field: &'static str, text: &str) -> Result<Nanos, Problem> {
    if let Ok(nanos) = text.parse() {
        return Ok(nanos);
    }
    // A `+` that was not escaped is a space in a query.
    let parsed = OffsetDateTime::parse(&text.replace(' ', "+"), &Rfc3339).ok();
    parsed.and_then(|moment| u64::try_from(moment.unix_timestamp_nanos()).ok()).ok_or_else(|| {
        let expected = "expected RFC 3339 such as 2026-11-21T10:00:00Z, or nanoseconds since 1970";
        Problem::invalid(field, expected)
    })
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
            assert_eq!(moment("from", text), Ok(noon), "{text}");
        }
        for text in ["", "yesterday", "-1", "2026-11-21", "2026-11-21T12:00:00", "1969-12-31T23:59:59Z"] {
            assert!(moment("from", text).is_err(), "{text}");
        }
    }
}
