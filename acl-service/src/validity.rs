//! The validity of an entry in a body.

use common::clock;
use http_server::Problem;
use http_server::body;
use serde::{Deserialize, Serialize};
use store::{Millis, Period};
pub(crate) use store::{parse_moment as moment, show_moment as show};
use utoipa::ToSchema;

/// A body with a validity fits in this.
pub(crate) const MAX_BODY: usize = 1024;
const EXPECTED: &str = "expected an RFC 3339 timestamp, such as 2026-12-31T18:00:00Z";

/// Why the validity of an entry is rejected: the field, and its fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadTimes {
    pub(crate) field: &'static str,
    pub(crate) why: &'static str,
}

/// The validity of an entry, as far as it is limited
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Times)]
pub(crate) struct ShownValidity {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time", nullable = false)]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time", nullable = false)]
    until: Option<String>,
}

/// The validity of an entry. By default it begins at once and never ends
#[derive(Deserialize, ToSchema)]
#[schema(as = NewTimes)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewValidity {
    #[schema(format = "date-time")]
    from: Option<String>,
    /// In the future, and after `from`
    #[schema(format = "date-time")]
    until: Option<String>,
}

impl From<BadTimes> for Problem {
    fn from(bad: BadTimes) -> Self {
        Self::invalid(bad.field, bad.why)
    }
}

impl ShownValidity {
    pub(crate) fn of(period: Period) -> Option<Self> {
        let shown = Self { from: period.from().map(show), until: period.until().map(show) };
        (period != Period::ALWAYS).then_some(shown)
    }
}

/// Parses a validity period. An empty text is invalid; it does not mean that there is no limit.
pub(crate) fn period(from: Option<&str>, until: Option<&str>, now: Millis) -> Result<Period, BadTimes> {
    let read = |field, text: Option<&str>| {
        text.map(|text| moment(text).ok_or(BadTimes { field, why: EXPECTED })).transpose()
    };
    let (from, until) = (read("from", from)?, read("until", until)?);
    let until_bad = |why| BadTimes { field: "until", why };
    let period = Period::new(from, until).map_err(|_| until_bad("the entry would end before it begins"))?;
    if period.is_over(now) { Err(until_bad("it is in the past")) } else { Ok(period) }
}

/// The validity in an optional body `{"from": …, "until": …}`. A misspelt field is rejected: without it, an entry that
/// should end would be valid for ever.
pub(crate) fn in_body(body: &[u8]) -> Result<Period, Problem> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Period::ALWAYS);
    }
    Ok(match body::json(body)? {
        None => Period::ALWAYS,
        Some(NewValidity { from, until }) => period(from.as_deref(), until.as_deref(), now())?,
    })
}

pub(crate) fn now() -> Millis {
    clock::now() / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_cannot_be_are_refused_by_field() {
        let (early, late) = ("2030-01-01T00:00:00Z", "2031-01-01T00:00:00Z");
        let (early, late) = (Some(early), Some(late));
        assert!(period(early, late, 0).is_ok());
        assert_eq!(period(Some("x"), late, 0).unwrap_err().field, "from");
        assert_eq!(period(early, Some(""), 0).unwrap_err().field, "until");
        assert_eq!(period(late, early, 0).unwrap_err().field, "until");
        assert_eq!(period(None, early, moment("2031-01-01T00:00:00Z").unwrap()).unwrap_err().field, "until");
    }

    #[test]
    fn a_misspelt_field_does_not_make_an_entry_for_ever() {
        assert_eq!(in_body(b" "), Ok(Period::ALWAYS));
        assert_eq!(in_body(b"{}"), Ok(Period::ALWAYS));
        assert_eq!(in_body(b"null"), Ok(Period::ALWAYS));
        let misspelt = in_body(br#"{"untill": "2031-01-01T00:00:00Z"}"#).unwrap_err().to_string();
        assert!(misspelt.contains("`untill`"), "{misspelt}");
        assert!(in_body(br#"{"until": "2031-01-01T00:00:00Z", "until": null}"#).is_err());
        assert!(in_body(br#"{"until": ""}"#).is_err());
        assert!(in_body(b"[]").is_err());
    }
}
