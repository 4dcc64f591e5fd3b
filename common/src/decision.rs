//! The four answers that Voltgate gives.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What was decided about one request. Decided once; never changed afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The driver is on the station's access list.
    Allowed,
    /// The driver is not on it.
    NotAllowed,
    /// The deadline passed, or nobody could answer before it.
    Unknown,
    /// The driver token is malformed, so that no list can hold it.
    Invalid,
}

/// A text that is none of the four decisions.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no decision (allowed, not_allowed, unknown, invalid)")]
pub struct NoDecision(String);

impl Decision {
    /// The word used in callbacks, records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::NotAllowed => "not_allowed",
            Self::Unknown => "unknown",
            Self::Invalid => "invalid",
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Decision {
    type Err = NoDecision;

    fn from_str(text: &str) -> Result<Self, NoDecision> {
        [Self::Allowed, Self::NotAllowed, Self::Unknown, Self::Invalid]
            .into_iter()
            .find(|decision| decision.as_str() == text)
            .ok_or_else(|| NoDecision(text.to_owned()))
    }
}
