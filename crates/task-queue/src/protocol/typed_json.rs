//! kombu's typed JSON: an object with exactly the keys `__type__` and `__value__` stands for a value that JSON lacks. A
//! task receives it as text, from which the usual Rust types can be deserialized:
//!
//! | Python | value of the task's argument |
//! | --- | --- |
//! | `uuid.UUID` | `12345678-1234-5678-1234-567812345678` |
//! | `datetime` | ISO 8601, as received: `2026-11-21T07:32:15.777006+00:00`; without an offset if it had none |
//! | `date`, `time` | `2026-11-21`, `07:32:15.777006` |
//! | `Decimal` | its `str`: `1.10`, `1E+3` |
//! | `bytes` | base64 with padding, whether they were text or not |

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use uuid::Uuid;

use crate::timestamp::Timestamp;

/// Resolves every marker in the value.
///
/// # Errors
/// Returns an error if a marker's type or value is unknown, as Python does.
pub(super) fn resolve(value: Value) -> Result<Value, String> {
    match value {
        Value::Array(items) => items.into_iter().map(resolve).collect::<Result<_, _>>().map(Value::Array),
        Value::Object(mut object) if object.len() == 2 && object.contains_key("__type__") => {
            match (object.remove("__type__"), object.remove("__value__")) {
                (Some(Value::String(kind)), Some(value)) => typed(&kind, &value).map(Value::String),
                (Some(_), Some(_)) => Err("a typed value whose type is not a string".to_owned()),
                (Some(kind), None) => {
                    // Not a marker: the other key is a different one.
                    object.insert("__type__".to_owned(), kind);
                    resolve_members(object)
                }
                (None, _) => resolve_members(object),
            }
        }
        Value::Object(object) => resolve_members(object),
        plain => Ok(plain),
    }
}

fn resolve_members(object: serde_json::Map<String, Value>) -> Result<Value, String> {
    object
        .into_iter()
        .map(|(name, value)| Ok((name, resolve(value)?)))
        .collect::<Result<_, String>>()
        .map(Value::Object)
}

fn typed(kind: &str, value: &Value) -> Result<String, String> {
    let text = if kind == "uuid" { value.get("hex") } else { Some(value) }.and_then(Value::as_str);
    let canonical = match (kind, text.unwrap_or_default()) {
        ("uuid", hex) => Uuid::try_parse(hex).ok().map(|uuid| uuid.hyphenated().to_string()),
        ("datetime", text) => Timestamp::parse(text).map(|_| text.to_owned()),
        ("date", text) => Timestamp::parse(&format!("{text}T00:00")).map(|_| text.to_owned()),
        ("time", text) => Timestamp::parse(&format!("2000-01-01T{text}")).map(|_| text.to_owned()),
        ("decimal", text) => text.parse::<f64>().ok().map(|_| text.to_owned()),
        ("bytes", _) => text.map(|text| STANDARD.encode(text)),
        ("base64", text) => STANDARD.decode(text).ok().map(|bytes| STANDARD.encode(bytes)),
        _ => return Err(format!("unknown typed value `{kind:.64}`")),
    };
    canonical.ok_or_else(|| format!("a typed {kind} with an invalid value"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn marked(kind: &str, value: impl Into<Value>) -> Value {
        json!({"__type__": kind, "__value__": value.into()})
    }

    #[test]
    fn every_type_of_kombu_has_its_text() {
        for (kind, value, text) in [
            ("datetime", "2026-11-21T07:32:15.777006+00:00", "2026-11-21T07:32:15.777006+00:00"),
            ("datetime", "2026-11-21T07:32:15", "2026-11-21T07:32:15"),
            ("date", "2026-11-21", "2026-11-21"),
            ("time", "07:32:15.777006", "07:32:15.777006"),
            ("time", "07:32:15+02:00", "07:32:15+02:00"),
            ("decimal", "1.10", "1.10"),
            ("decimal", "-1E+3", "-1E+3"),
            ("decimal", "NaN", "NaN"),
            ("bytes", "hé", "aMOp"),
            ("base64", "/wA=", "/wA="),
        ] {
            assert_eq!(resolve(marked(kind, value)), Ok(json!(text)), "{kind}");
        }
    }

    #[test]
    fn markers_are_resolved_at_any_depth_and_unknown_ones_refused() {
        let uuid = marked("uuid", json!({"hex": "12345678123456781234567812345678"}));
        let resolved = resolve(json!({"a": [uuid], "b": {"__type__": 1, "x": 2, "y": 3}})).unwrap();
        assert_eq!(
            resolved,
            json!({"a": ["12345678-1234-5678-1234-567812345678"], "b": {"__type__": 1, "x": 2, "y": 3}})
        );
        for plain in [json!({"__type__": "uuid", "other": 1}), json!({"__type__": "uuid"})] {
            assert_eq!(resolve(plain.clone()), Ok(plain), "not exactly the two keys");
        }
        for (kind, value) in [
            ("uuid", json!({"hex": "zz"})),
            ("uuid", json!(1)),
            ("complex", json!(1)),
            ("datetime", json!("tomorrow")),
            ("date", json!("2026-11-21T07:32:15")),
            ("time", json!("25:00")),
            ("decimal", json!("one")),
            ("decimal", json!(1)),
            ("bytes", json!(1)),
            ("base64", json!("?")),
        ] {
            assert!(resolve(marked(kind, value)).is_err(), "{kind}");
        }
    }

    proptest! {
        #[test]
        fn no_marker_makes_it_panic(kind in "uuid|date|time|datetime|decimal|bytes|base64|[a-z]{0,5}",
                                    text in "\\PC{0,30}") {
            let _ = resolve(marked(&kind, text));
        }
    }
}
