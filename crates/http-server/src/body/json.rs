//! Strict JSON bodies: rejects what two programs could read differently.

use std::fmt;

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::{Problem, input};

/// Parses a JSON body as the struct that documents it.
///
/// # Errors
/// Returns an error if the body is not JSON, or if a member is unknown, missing or malformed.
pub fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    input::object(&value(body)?)
}

/// Parses a JSON body whose objects are nested: see [`input::document`].
///
/// # Errors
/// Returns an error if the body is not JSON, or if a member is unknown, missing or malformed.
pub fn document<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    input::document(&value(body)?)
}

/// Parses a body as any JSON. An object with a duplicate member is rejected: one of the two values would be silently
/// ignored.
///
/// # Errors
/// Returns an error if the body is not such JSON.
pub fn value(body: &[u8]) -> Result<Value, Problem> {
    if body.starts_with(&[0xff, 0xfe]) || body.starts_with(&[0xfe, 0xff]) {
        return Err(Problem::invalid("body", "the body is UTF-16, and JSON is UTF-8 (RFC 8259)"));
    }
    let not_json = |error| Problem::invalid("body", format!("the body is not JSON: {error}"));
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = Strict.deserialize(&mut reader).map_err(not_json)?;
    reader.end().map_err(not_json)?;
    Ok(value)
}

/// Deserializes a [`Value`] as `Value` itself does, but rejects duplicate members.
struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Strict)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(A::Error::custom(format_args!("duplicate member `{name:.64}`")));
            }
            let value = members.next_value_seed(Strict)?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn why(body: &[u8]) -> String {
        value(body).unwrap_err().to_string()
    }

    #[test]
    fn a_member_that_is_there_twice_is_refused_by_name_at_any_depth() {
        for body in [r#"{"until": 1, "until": null}"#, r#"[{"a": {"until": 1, "u\u006etil": 1}}]"#] {
            assert!(why(body.as_bytes()).contains("duplicate member `until`"), "{body}");
        }
        assert!(value(br#"{"a": {"until": 1}, "b": {"until": 1}}"#).is_ok());
    }

    #[test]
    fn what_is_no_json_in_utf_8_says_why() {
        for (body, reason) in [
            (&b"{\"a\": \"\\ud800\"}"[..], "hex escape"),
            (b"{\"a\": \"\xff\"}", "unicode"),
            (b"\xff\xfe{\0}\0", "UTF-16"),
            (b"{} x", "trailing characters"),
            (b"", "EOF"),
        ] {
            assert!(why(body).contains(reason), "{body:?}: {}", why(body));
        }
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(value(nested(127).as_bytes()).is_ok());
        assert!(why(nested(128).as_bytes()).contains("recursion limit"));
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            "\\PC{0,10}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-z]{0,3}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn everything_else_is_read_as_it_was_written(value in any_value()) {
            prop_assert_eq!(super::value(value.to_string().as_bytes()), Ok(value));
        }

        #[test]
        fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..60), text in "[\\[\\]{}:,\"a1-]{0,40}") {
            let _ = (value(&body), value(text.as_bytes()));
        }
    }
}
