//! UUIDs in documents: in the one form that Voltgate accepts. For `deserialize_with`.

use common::ids::{NotUuid, StationId};
use serde::{Deserialize, Deserializer};
use uuid::Uuid;

pub(crate) fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Uuid>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| parse(&text)).transpose().map_err(serde::de::Error::custom)
}

pub(crate) fn required<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
    parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

/// No list would show the nil UUID: lists go by ids after another one.
fn parse(text: &str) -> Result<Uuid, NotUuid> {
    let id = text.parse::<StationId>().map(StationId::uuid)?;
    if id.is_nil() { Err(NotUuid) } else { Ok(id) }
}
