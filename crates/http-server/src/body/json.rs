//! Strict JSON bodies: rejects what two programs could read differently, and members that would be ignored.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::Problem;

/// Parses a body as JSON. An object with a duplicate member is rejected: one of the two values would be silently
/// ignored.
///
/// # Errors
/// Returns an error if the body is not such JSON.
pub fn json(body: &[u8]) -> Result<Value, Problem> {
    if body.starts_with(&[0xff, 0xfe]) || body.starts_with(&[0xfe, 0xff]) {
        return Err(Problem::invalid("body", "the body is UTF-16, and JSON is UTF-8 (RFC 8259)"));
    }
    let not_json = |error| Problem::invalid("body", format!("the body is not JSON: {error}"));
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = Strict.deserialize(&mut reader).map_err(not_json)?;
    reader.end().map_err(not_json)?;
    Ok(value)
}

/// Rejects an object with unknown members: a misspelt one would be silently ignored. A value that is not an object
/// passes; the code that reads the members rejects it.
///
/// # Errors
/// Returns 400, which names the unknown member and the known ones.
pub fn known_members(value: &Value, known: &[&str]) -> Result<(), Problem> {
    let mut names = value.as_object().into_iter().flat_map(Map::keys);
    match names.find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => {
            let known = known.join(", ");
            Err(Problem::invalid("body", format!("unknown member `{name:.64}`; expected: {known}")))
        }
    }
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

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
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
    use serde_json::json as value;

    use super::*;

    fn why(body: &[u8]) -> String {
        json(body).unwrap_err().to_string()
    }

    #[test]
    fn a_member_that_is_there_twice_is_refused_by_name_at_any_depth() {
        for body in [r#"{"until": 1, "until": null}"#, r#"[{"a": {"until": 1, "u\u006etil": 1}}]"#] {
            assert!(why(body.as_bytes()).contains("duplicate member `until`"), "{body}");
        }
        assert!(json(br#"{"a": {"until": 1}, "b": {"until": 1}}"#).is_ok());
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
        assert!(json(nested(127).as_bytes()).is_ok());
        assert!(why(nested(128).as_bytes()).contains("recursion limit"));
    }

    #[test]
    fn a_member_that_is_not_known_is_refused_with_those_that_are() {
        let known = |value: &Value| known_members(value, &["from", "until"]);
        assert!(
            known(&value!({"until": 1})).is_ok()
                && known(&value!({})).is_ok()
                && known(&value!(null)).is_ok()
        );
        let refused = known(&value!({"until": 1, "untill": 2})).unwrap_err().to_string();
        assert_eq!(refused, "body: unknown member `untill`; expected: from, until");
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
            prop_assert_eq!(json(value.to_string().as_bytes()), Ok(value));
        }

        #[test]
        fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..60), text in "[\\[\\]{}:,\"a1-]{0,40}") {
            let _ = (json(&body), json(text.as_bytes()));
        }
    }
}
