//! UUIDs in documents: with hyphens, as everywhere in Voltgate. For `deserialize_with`.

use serde::{Deserialize, Deserializer};
use uuid::Uuid;

const LENGTH: usize = 36;

pub(crate) fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Uuid>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let id = Some(text).filter(|text| text.len() == LENGTH).and_then(|text| text.parse().ok());
    // No list would show it: lists go by ids after another one.
    let id = id.filter(|id: &Uuid| !id.is_nil());
    let expected = "expected a UUID of the form 123e4567-e89b-12d3-a456-426614174000";
    id.map(Some).ok_or_else(|| serde::de::Error::custom(expected))
}
