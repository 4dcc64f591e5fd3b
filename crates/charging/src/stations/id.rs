//! UUIDs in documents: in the one form that Voltgate accepts. For `deserialize_with`.

use common::ids::{NotUuid, StationId};
use serde::{Deserialize, Deserializer};
use uuid::Uuid;

pub(crate) fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Uuid>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let id = text.parse::<StationId>().map(StationId::uuid);
    // No list would show the nil UUID: lists go by ids after another one.
    let id = id.and_then(|id| if id.is_nil() { Err(NotUuid) } else { Ok(id) });
    id.map(Some).map_err(serde::de::Error::custom)
}
