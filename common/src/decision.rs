//! The four possible decisions.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The decision about one request. It is made once and never changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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

/// Which way a request came in. A record without one came over the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Over public-api, or from a Celery client.
    #[default]
    Api,
    /// From a charge point that speaks OCPP.
    Ocpp,
}

/// A text that is no source.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no source (api, ocpp)")]
pub struct NoSource(String);

impl Source {
    /// The word used in records and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Ocpp => "ocpp",
        }
    }
}

impl FromStr for Source {
    type Err = NoSource;

    fn from_str(text: &str) -> Result<Self, NoSource> {
        let source = [Self::Api, Self::Ocpp].into_iter().find(|source| source.as_str() == text);
        source.ok_or_else(|| NoSource(text.to_owned()))
    }
}

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
