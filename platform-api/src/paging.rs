//! Pages of lists: a cursor that only the server reads.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http_server::Problem;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The place that a cursor names; that of the first page if there is none, or it is empty, for clients that always send
/// the parameter.
pub(crate) fn after<T: DeserializeOwned>(cursor: Option<&str>) -> Result<Option<T>, Problem> {
    let Some(cursor) = cursor.filter(|cursor| !cursor.is_empty()) else { return Ok(None) };
    let place = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|json| serde_json::from_slice(&json).ok());
    place.map(Some).ok_or_else(bad_cursor)
}

/// 400 for a cursor.
pub(crate) fn bad_cursor() -> Problem {
    Problem::invalid("cursor", "expected the cursor of a page of the same search")
}

/// The cursor of the page after this place.
pub(crate) fn cursor(place: &impl Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(place).unwrap_or_default())
}

/// Cuts a list that has one item more than the page, and returns the last item of the page if there are more.
pub(crate) fn cut<T: Clone>(items: &mut Vec<T>, limit: u16) -> Option<T> {
    let more = items.len() > usize::from(limit);
    items.truncate(usize::from(limit));
    if more { items.last().cloned() } else { None }
}
