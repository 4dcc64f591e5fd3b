//! Changes of documents by merge patch (RFC 7396), and the ids in paths.

use std::str::FromStr;

use actix_web::HttpRequest;
use common::ids::{NotUuid, StationId};
use http_server::conditional::IfMatch;
use http_server::{Problem, body, input};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use uuid::Uuid;

/// The id in a path. A text that is no id is the id of nothing.
pub(crate) fn path_id(text: &str) -> Result<Uuid, Problem> {
    text.parse().map_err(|_| not_found())
}

/// An id in a query.
#[derive(Debug, Clone, Copy, utoipa::ToSchema)]
#[schema(value_type = Uuid)]
pub(crate) struct QueryId(pub(crate) Uuid);

impl FromStr for QueryId {
    type Err = NotUuid;

    fn from_str(text: &str) -> Result<Self, NotUuid> {
        text.parse::<StationId>().map(|id| Self(id.uuid()))
    }
}

/// 404 for an id.
pub(crate) fn not_found() -> Problem {
    Problem::not_found("id", "there is none with this id")
}

/// Checks `If-Match` where it is optional.
pub(crate) fn if_matches(request: &HttpRequest, version: i64) -> Result<(), Problem> {
    match IfMatch::of(request) {
        Ok(wanted) => wanted.check(version),
        Err(_) => Ok(()),
    }
}

/// The document after the patch. `fixed` are the members that only a new document may name.
pub(crate) fn merged<T: Serialize + DeserializeOwned>(
    before: &T,
    patch: &[u8],
    fixed: &[&'static str],
) -> Result<T, Problem> {
    let Value::Object(patch) = body::value(patch)? else {
        return Err(Problem::invalid("body", "expected an object"));
    };
    if let Some(name) = fixed.iter().find(|name| patch.contains_key(**name)) {
        return Err(Problem::invalid(*name, "it cannot be changed: leave it out"));
    }
    with(before, patch)
}

/// The document with these members.
pub(crate) fn with<T: Serialize + DeserializeOwned>(
    before: &T,
    patch: Map<String, Value>,
) -> Result<T, Problem> {
    let mut document = serde_json::to_value(before).unwrap_or_default();
    if let Value::Object(members) = &mut document {
        merge(members, patch);
    }
    input::document(&document)
}

fn merge(document: &mut Map<String, Value>, patch: Map<String, Value>) {
    for (name, value) in patch {
        match (document.get_mut(&name), value) {
            (Some(Value::Object(inner)), Value::Object(patch)) => merge(inner, patch),
            (_, Value::Null) => {
                document.remove(&name);
            }
            (_, Value::Object(patch)) => {
                let mut inner = Map::new();
                merge(&mut inner, patch);
                document.insert(name, Value::Object(inner));
            }
            (_, value) => {
                document.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_patch_is_merged_as_rfc_7396_shows() {
        for (document, patch, expected) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            let (mut document, patch) =
                (document.as_object().unwrap().clone(), patch.as_object().unwrap().clone());
            merge(&mut document, patch);
            assert_eq!(Value::Object(document), expected);
        }
    }
}
