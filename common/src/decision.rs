//! The four possible decisions.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The decision about one request. It is made once and never changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The driver is on the station's access list.
    Allowed,
    /// The driver is not on the list.
    NotAllowed,
    /// The deadline passed, or no answer was available before it.
    Unknown,
    /// The driver token is malformed, so no list can contain it.
    Invalid,
}

/// The text is none of the four decisions.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a decision (allowed, not_allowed, unknown, invalid)")]
pub struct NoDecision(String);

impl Decision {
    /// The name used in callbacks, records and metrics.
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
