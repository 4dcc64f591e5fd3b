//! The validity of an entry.

use charging::At;
use http_server::{Problem, body};
use serde::Deserialize;
use store::Period;
use utoipa::ToSchema;

const EXPECTED: &str = "expected a moment such as 2027-03-28T01:00:00Z";

/// When an entry is valid; at all times without limits
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AccessValidity)]
pub(super) struct Validity {
    /// When it begins
    #[schema(format = DateTime)]
    from: Option<String>,
    /// When it ends
    #[schema(format = DateTime)]
    until: Option<String>,
}

impl Validity {
    /// Reads an optional body.
    pub(super) fn parse(text: &[u8]) -> Result<Self, Problem> {
        match text.iter().all(u8::is_ascii_whitespace) {
            true => Ok(Self::default()),
            false => body::document(text),
        }
    }

    /// The period, which has not ended yet.
    pub(super) fn period(&self) -> Result<Period, Problem> {
        let moment = |field: &'static str, text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => {
                let at: At = text.parse().map_err(|_| Problem::invalid(field, EXPECTED))?;
                Ok(Some(u64::try_from(at.millis()).unwrap_or_default().max(1)))
            }
        };
        let (from, until) = (moment("from", &self.from)?, moment("until", &self.until)?);
        if until.is_some_and(|until| until <= super::now()) {
            return Err(Problem::invalid("until", "expected a moment in the future"));
        }
        Period::new(from, until).map_err(|why| Problem::invalid("until", why.to_string()))
    }
}
