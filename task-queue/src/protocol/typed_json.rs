//! kombu's typed JSON: an object with exactly the keys `__type__` and `__value__` stands for a value that JSON lacks.

use serde_json::Value;
use uuid::Uuid;

/// The value with every marker in it resolved: a UUID and the other types become their usual text.
///
/// # Errors
/// A marker whose type or value is unknown, as Python refuses it.
pub(super) fn resolve(value: Value) -> Result<Value, String> {
    match value {
        Value::Array(items) => items.into_iter().map(resolve).collect::<Result<_, _>>().map(Value::Array),
        Value::Object(mut object) if object.len() == 2 && object.contains_key("__type__") => {
            match (object.remove("__type__"), object.remove("__value__")) {
                (Some(Value::String(kind)), Some(value)) => typed(&kind, value),
                _ => Err("an object with `__type__` and no `__value__`".to_owned()),
            }
        }
        Value::Object(object) => object
            .into_iter()
            .map(|(name, value)| Ok((name, resolve(value)?)))
            .collect::<Result<_, String>>()
            .map(Value::Object),
        plain => Ok(plain),
    }
}

fn typed(kind: &str, value: Value) -> Result<Value, String> {
    match kind {
        "uuid" => {
            let hex = value.get("hex").and_then(Value::as_str).unwrap_or_default();
            let uuid = Uuid::try_parse(hex).map_err(|_| "a typed uuid without a UUID in it".to_owned())?;
            Ok(Value::String(uuid.hyphenated().to_string()))
        }
        "datetime" | "date" | "time" | "decimal" | "bytes" | "base64" if value.is_string() => Ok(value),
        _ => Err(format!("unknown typed value `{kind}`")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn markers_are_resolved_at_any_depth_and_unknown_ones_refused() {
        let uuid = json!({"__type__": "uuid", "__value__": {"hex": "12345678123456781234567812345678"}});
        let resolved = resolve(json!({"a": [uuid], "b": {"__type__": 1, "x": 2, "y": 3}})).unwrap();
        assert_eq!(
            resolved,
            json!({"a": ["12345678-1234-5678-1234-567812345678"], "b": {"__type__": 1, "x": 2, "y": 3}})
        );
        for bad in [
            json!({"__type__": "uuid", "__value__": {"hex": "zz"}}),
            json!({"__type__": "uuid", "__value__": 1}),
            json!({"__type__": "complex", "__value__": 1}),
            json!({"__type__": "uuid", "other": 1}),
        ] {
            assert!(resolve(bad.clone()).is_err(), "{bad}");
        }
    }
}
