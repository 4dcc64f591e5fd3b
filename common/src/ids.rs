//! Identifiers: the request, the station, and the driver token, which is personal data and is masked wherever it is shown.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

/// One call of the authorize endpoint. Also the Celery task id and the `webhook-id` of its callback.
///
/// Voltgate's ids are UUIDv7; a Python client may use any UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(transparent)]
#[cfg_attr(feature = "openapi", schema(value_type = String, format = "uuid", example = "01a1fdc4-3193-72e3-bff0-3fbc4117778f"))]
pub struct RequestId(Uuid);

/// A charging station: a UUID, shown in lower case with hyphens everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(transparent)]
#[cfg_attr(feature = "openapi", schema(value_type = String, format = "uuid", example = "123e4567-e89b-12d3-a456-426614174000"))]
pub struct StationId(Uuid);

/// The text is not an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a UUID of the form 123e4567-e89b-12d3-a456-426614174000")]
pub struct NotUuid;

/// The driver token as the client presented it: any text.
///
/// Only [`PresentedToken::parse`] turns it into a token.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(transparent)]
#[cfg_attr(feature = "openapi", schema(description = "The driver token as the client presented it: any text", value_type = String))]
pub struct PresentedToken(String);

/// A well-formed driver token: 20 to 80 characters of `A-Z a-z 0-9 - . _ ~` (RFC 3986 "unreserved").
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(transparent)]
#[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^[A-Za-z0-9._~-]{20,80}$", example = "sample-driver-token-0001"))]
pub struct DriverToken(String);

/// The text is not a driver token. The error never contains the text itself: it is personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 20 to 80 characters of A-Z a-z 0-9 - . _ ~")]
pub struct MalformedToken;

// === impl RequestId ===

impl RequestId {
    /// A new UUIDv7, so that ids sort by time.
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// The same request in another representation.
    pub fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The bare UUID, whose bytes sort as its text does.
    pub fn uuid(self) -> Uuid {
        self.0
    }

    /// When the id was made, since 1970, if the id contains it: Voltgate's ids do, to the millisecond.
    pub fn made_at(self) -> Option<Duration> {
        let (seconds, nanos) = self.0.get_timestamp()?.to_unix();
        Some(Duration::new(seconds, nanos))
    }
}

impl Default for RequestId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for RequestId {
    type Err = NotUuid;

    fn from_str(text: &str) -> Result<Self, NotUuid> {
        parse_uuid(text).map(Self)
    }
}

// === impl StationId ===

impl StationId {
    /// The same station in another representation.
    pub fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The bare UUID, for wire formats that want it without hyphens.
    pub fn uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for StationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for StationId {
    type Err = NotUuid;

    fn from_str(text: &str) -> Result<Self, NotUuid> {
        parse_uuid(text).map(Self)
    }
}

/// Accepts the hyphenated form only: braces, `urn:uuid:` and bare hex would give one station several URLs.
fn parse_uuid(text: &str) -> Result<Uuid, NotUuid> {
    if text.len() != 36 {
        return Err(NotUuid);
    }
    Uuid::try_parse(text).map_err(|_| NotUuid)
}

// === impl PresentedToken ===

impl PresentedToken {
    /// Takes any text as presented.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the callback and the record only; logs use the masking `Debug`.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The well-formed token.
    ///
    /// # Errors
    /// Returns [`MalformedToken`] if the token is malformed: the request will be decided `invalid`.
    pub fn parse(&self) -> Result<DriverToken, MalformedToken> {
        DriverToken::parse(&self.0)
    }
}

impl fmt::Debug for PresentedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&mask(&self.0))
    }
}

// === impl DriverToken ===

impl DriverToken {
    /// Checks length and alphabet.
    ///
    /// # Errors
    /// Returns [`MalformedToken`] for anything else.
    pub fn parse(text: &str) -> Result<Self, MalformedToken> {
        let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if (20..=80).contains(&text.len()) && text.bytes().all(unreserved) {
            Ok(Self(text.to_owned()))
        } else {
            Err(MalformedToken)
        }
    }

    /// The text, for the access list and its responses only.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for DriverToken {
    fn deserialize<D: Deserializer<'de>>(text: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(text)?).map_err(D::Error::custom)
    }
}

impl fmt::Debug for DriverToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&mask(&self.0))
    }
}

/// Enough of a token to distinguish it from another in a log, but not enough to use it.
fn mask(token: &str) -> String {
    let shown: String = token.chars().take(4).collect();
    if token.len() < 12 { "****".to_owned() } else { format!("{shown}****") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_station_is_shown_in_lower_case_with_hyphens() {
        let station: StationId = "123E4567-E89B-12D3-A456-426614174000".parse().unwrap();
        assert_eq!(station.to_string(), "123e4567-e89b-12d3-a456-426614174000");
    }

    #[test]
    fn a_uuid_in_another_spelling_is_no_station() {
        for text in [
            "",
            "123e4567e89b12d3a456426614174000",
            "{123e4567-e89b-12d3-a456-426614174000}",
            "urn:uuid:123e4567-e89b-12d3-a456-426614174000",
            "123e4567-e89b-12d3-a456-42661417400g",
        ] {
            assert_eq!(text.parse::<StationId>(), Err(NotUuid), "{text}");
        }
    }

    #[test]
    fn a_masked_token_cannot_be_used() {
        let token = PresentedToken::new("valid_driver_token_12345");
        assert_eq!(format!("{token:?}"), "vali****");
        assert_eq!(format!("{:?}", PresentedToken::new("short")), "****");
    }

    proptest! {
        #[test]
        fn a_token_parses_exactly_when_length_and_alphabet_fit(text in "[A-Za-z0-9._~ /é-]{0,90}") {
            let expected = (20..=80).contains(&text.chars().count())
                && text.chars().all(|c| c.is_ascii_alphanumeric() || "-._~".contains(c));
            prop_assert_eq!(DriverToken::parse(&text).is_ok(), expected);
        }

        #[test]
        fn every_well_formed_token_is_kept_to_the_letter(text in "[A-Za-z0-9._~-]{20,80}") {
            let token = DriverToken::parse(&text).unwrap();
            prop_assert_eq!(token.expose(), text);
        }
    }
}
