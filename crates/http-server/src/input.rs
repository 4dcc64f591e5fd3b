//! Requests as structs: the struct that `utoipa` documents is the one that `serde` parses. An error names the member at
//! fault. It never repeats a value, which may be a secret or personal data.
//!
//! The order of the checks is part of the API, as an error names one member only: see [`object`] and [`Query`].
//!
//! [`Query`]: crate::Query

use std::fmt::Display;
use std::str::FromStr;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, Error, Expected, IntoDeserializer, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, forward_to_deserialize_any};
use serde_json::{Map, Value};
use serde_path_to_error::Segment;

use crate::Problem;

/// Parses an object. Its unknown members are checked first, then the fields of the struct in their order.
///
/// # Errors
/// Returns 400, which names the member at fault.
pub fn object<T: DeserializeOwned>(value: &Value) -> Result<T, Problem> {
    parse(Input(Some(value)), "body")
}

/// The same for a document whose objects are nested: the error names the member at fault by its whole path, such as
/// `evses.0.connectors.1.standard`, also if it is unknown.
///
/// # Errors
/// Returns 400, which names the member at fault.
pub fn document<T: DeserializeOwned>(value: &Value) -> Result<T, Problem> {
    if !value.is_object() {
        return Err(Problem::invalid("body", "expected an object"));
    }
    serde_path_to_error::deserialize(Input(Some(value))).map_err(|error| {
        let path: Vec<String> = error.path().iter().filter_map(segment).collect();
        let path = path.join(".");
        let field = if path.is_empty() { "body".to_owned() } else { path };
        match error.into_inner() {
            Fault::Unknown { name, detail } if field == "body" => Problem::invalid(name, detail),
            // The path may end with the unknown member itself.
            Fault::Unknown { name, detail } if field == name || field.ends_with(&format!(".{name}")) => {
                Problem::invalid(field, detail)
            }
            Fault::Unknown { name, detail } => Problem::invalid(format!("{field}.{name}"), detail),
            Fault::Name(detail) | Fault::Value(detail) => Problem::invalid(field, detail),
        }
    })
}

fn segment(segment: &Segment) -> Option<String> {
    match segment {
        Segment::Map { key } => Some(key.clone()),
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Enum { .. } | Segment::Unknown => None,
    }
}

/// Parses the parameters of a query, in the order of the query. None may be given twice.
pub(crate) fn query<T: DeserializeOwned>(pairs: &[(String, Value)]) -> Result<T, Problem> {
    let pairs = pairs.iter().map(|(name, value)| (name.as_str(), Input(Some(value))));
    parse(MapDeserializer::new(pairs), "query")
}

/// For `deserialize_with`: a text whose [`FromStr`] says what is expected.
///
/// # Errors
/// Returns the error of `FromStr`.
pub fn parsed<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(text: D) -> Result<T, D::Error> {
    String::deserialize(text)?.parse().map_err(D::Error::custom)
}

/// The same for a text that may be absent.
///
/// # Errors
/// Returns the error of `FromStr`.
pub fn optional<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(text: D) -> Result<Option<T>, D::Error> {
    let text = Option::<String>::deserialize(text)?;
    text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
}

fn parse<'a, T: DeserializeOwned>(
    input: impl Deserializer<'a, Error = Fault>,
    place: &'static str,
) -> Result<T, Problem> {
    serde_path_to_error::deserialize(input).map_err(|error| {
        let (mut field, mut item) = (place.to_owned(), String::new());
        for segment in error.path() {
            match segment {
                Segment::Map { key } => field.clone_from(key),
                Segment::Seq { index } => item = format!("item {index}: "),
                Segment::Enum { .. } | Segment::Unknown => {}
            }
        }
        match error.into_inner() {
            Fault::Name(detail) | Fault::Unknown { detail, .. } => Problem::invalid(place, detail),
            Fault::Value(detail) => Problem::invalid(field, format!("{item}{detail}")),
        }
    })
}

/// Up to here a float is the integer that was written: 2^53.
const MAX_WHOLE: f64 = 9_007_199_254_740_992.0;

/// A value of a request; `None` if it is absent.
#[derive(Clone, Copy)]
struct Input<'a>(Option<&'a Value>);

impl<'de> Deserializer<'de> for Input<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            None => Err(Fault::custom("it is missing")),
            Some(Value::String(text)) => visitor.visit_str(text),
            Some(Value::Array(items)) => {
                visitor.visit_seq(SeqDeserializer::new(items.iter().map(|item| Self(Some(item)))))
            }
            Some(Value::Bool(value)) => visitor.visit_bool(*value),
            Some(Value::Number(number)) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), ..) => visitor.visit_u64(number),
                (_, Some(number), _) => visitor.visit_i64(number),
                // In JSON Schema, 7.0 is an integer too.
                (.., Some(number)) if number.fract() == 0.0 && number.abs() <= MAX_WHOLE => {
                    visitor.visit_i64(number as i64)
                }
                (.., Some(number)) => visitor.visit_f64(number),
                _ => Err(Fault::invalid_type(Unexpected::Unit, &visitor)),
            },
            Some(_) => Err(Fault::invalid_type(Unexpected::Unit, &visitor)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            None | Some(Value::Null) => visitor.visit_none(),
            Some(_) => visitor.visit_some(self),
        }
    }

    /// Anything but an object lacks every member.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let members = self.0.and_then(Value::as_object);
        let names = members.into_iter().flat_map(Map::keys).map(String::as_str);
        let names = names.filter(|name| !fields.contains(name)).chain(fields.iter().copied());
        let value = |name| Self(members.and_then(|members| members.get(name)));
        let parsed = visitor.visit_map(MapDeserializer::new(names.map(|name| (name, value(name)))))?;
        members.map(|_| parsed).ok_or_else(|| Fault::custom("expected an object"))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.0 {
            Some(Value::String(text)) => visitor.visit_enum(text.as_str().into_deserializer()),
            _ => Err(Fault::unknown_variant("", variants)),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct newtype_struct map identifier
    }
}

impl<'de> IntoDeserializer<'de, Fault> for Input<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// Why a request is rejected.
#[derive(Debug, thiserror::Error)]
enum Fault {
    /// A name is given twice.
    #[error("{0}")]
    Name(String),
    /// A name is unknown.
    #[error("{detail}")]
    Unknown { name: String, detail: String },
    #[error("{0}")]
    Value(String),
}

/// serde's own texts repeat the value.
impl Error for Fault {
    fn custom<T: Display>(detail: T) -> Self {
        Self::Value(detail.to_string())
    }

    fn invalid_type(given: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_value(given, expected)
    }

    fn invalid_value(given: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let several = if given == Unexpected::Seq { ", not several values" } else { "" };
        let expected = match expected.to_string() {
            number if ["u8", "u16", "u32", "u64", "i64"].contains(&&*number) => "a whole number".to_owned(),
            other => other,
        };
        Self::Value(format!("expected {expected}{several}"))
    }

    fn unknown_variant(_: &str, variants: &'static [&'static str]) -> Self {
        let (last, others) = variants.split_last().unwrap_or((&"nothing", &[]));
        Self::Value(format!("expected {} or {last}", others.join(", ")))
    }

    fn unknown_field(name: &str, known: &'static [&'static str]) -> Self {
        let detail = format!("unknown name `{name:.64}`; expected: {}", known.join(", "));
        Self::Unknown { name: name.chars().take(64).collect(), detail }
    }

    fn duplicate_field(name: &'static str) -> Self {
        Self::Name(format!("`{name}` is given more than once"))
    }
}

#[cfg(test)]
mod tests {
    use common::ids::{DriverToken, StationId};
    use serde_json::json as value;

    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct List {
        pairs: Vec<Pair>,
        mode: Option<Mode>,
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Pair {
        #[serde(deserialize_with = "parsed")]
        station_id: StationId,
        driver_token: DriverToken,
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Mode {
        Add,
        Replace,
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Limits {
        from: Option<String>,
        until: Option<String>,
    }

    const STATION: &str = "123e4567-e89b-12d3-a456-426614174000";
    const TOKEN: &str = "valid_driver_token_12345";

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, Value)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect()
    }

    #[test]
    fn an_error_names_the_member_and_the_item_and_repeats_no_value() {
        let pair = value!({"station_id": STATION, "driver_token": TOKEN});
        assert!(object::<List>(&value!({"pairs": [pair], "mode": "replace"})).is_ok());
        for (given, expected) in [
            (value!({"pairs": [pair, {"driver_token": "s3cret"}]}), "station_id: item 1: it is missing"),
            (
                value!({"pairs": [{"station_id": STATION, "driver_token": "s3cret"}]}),
                "driver_token: item 0: expected 20 to 80 characters of A-Z a-z 0-9 - . _ ~",
            ),
            (
                value!({"pairs": [{"station_id": STATION, "driver_token": 12_345_678}]}),
                "driver_token: item 0: expected a string",
            ),
            (
                value!({"pairs": [{"station_id": "s3cret", "driver_token": "s3cret"}]}),
                "station_id: item 0: expected a UUID of the form 123e4567-e89b-12d3-a456-426614174000",
            ),
            (value!({"pairs": [7]}), "station_id: item 0: it is missing"),
            (value!({"pairs": "s3cret"}), "pairs: expected a sequence"),
            (value!([pair]), "pairs: it is missing"),
            (value!({"pairs": [], "mode": "s3cret"}), "mode: expected add or replace"),
            (value!({"pairs": [], "mode": {"add": null}}), "mode: expected add or replace"),
        ] {
            assert_eq!(object::<List>(&given).unwrap_err().to_string(), expected, "{given}");
        }
    }

    #[test]
    fn an_unknown_member_is_reported_first_with_those_that_are_known() {
        for (given, expected) in [
            (value!({"pairs": 7, "untill": 7}), "body: unknown name `untill`; expected: pairs, mode"),
            (value!({"pairs": [{"at": 1}]}), "body: unknown name `at`; expected: station_id, driver_token"),
        ] {
            assert_eq!(object::<List>(&given).unwrap_err().to_string(), expected, "{given}");
        }
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only errors are looked at")]
    struct Site {
        place: Place,
        power: i64,
        open: Option<bool>,
        parts: Option<Vec<Pair>>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only errors are looked at")]
    struct Place {
        north: String,
    }

    #[test]
    fn an_error_in_a_document_names_the_whole_path() {
        let place = value!({"north": "1"});
        assert!(document::<Site>(&value!({"place": place, "power": 7, "open": true})).is_ok());
        for (given, expected) in [
            (value!({"place": {"north": 1}, "power": 7}), "place.north: expected a string"),
            (value!({"power": 7}), "place.north: it is missing"),
            (value!({"place": 1, "power": 7}), "place.north: it is missing"),
            (value!({"place": place, "power": "7"}), "power: expected a whole number"),
            (value!({"place": place, "power": 7.5}), "power: expected a whole number"),
            (value!({"place": place, "power": 1e300}), "power: expected a whole number"),
            (value!({"place": place, "power": 7, "open": 1}), "open: expected a boolean"),
            (
                value!({"place": place, "power": 7, "id": 1}),
                "id: unknown name `id`; expected: place, power, open, parts",
            ),
            (value!({"place": {"north": "1", "id": 1}}), "place.id: unknown name `id`; expected: north"),
            (
                value!({"place": place, "power": 7, "parts": [{"at": 1}]}),
                "parts.0.at: unknown name `at`; expected: station_id, driver_token",
            ),
            (
                value!({"place": place, "power": 7, "parts": [{"station_id": STATION}]}),
                "parts.0.driver_token: it is missing",
            ),
            (value!([]), "body: expected an object"),
        ] {
            assert_eq!(document::<Site>(&given).unwrap_err().to_string(), expected, "{given}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused_even_if_no_member_is_needed() {
        assert_eq!(object::<Limits>(&value!([])).unwrap_err().to_string(), "body: expected an object");
        assert_eq!(object::<Limits>(&value!({"from": null})), Ok(Limits { from: None, until: None }));
        assert_eq!(object::<Option<Limits>>(&Value::Null), Ok(None));
    }

    #[test]
    fn a_list_in_the_place_of_a_text_is_refused_and_other_names_are_not_read() {
        let given = object::<Limits>(&value!({"until": ["1", "2"], "other": 7})).unwrap_err().to_string();
        assert_eq!(given, "until: expected a string, not several values");
    }

    #[test]
    fn a_query_is_taken_in_its_order_and_has_no_parameter_twice() {
        let why = |given: &[(&str, &str)]| query::<Pair>(&pairs(given)).unwrap_err().to_string();
        assert!(why(&[("driver_token", "x"), ("at", "1")]).starts_with("driver_token: expected 20 to 80"));
        let (station, unknown) = (("station_id", STATION), ("at", "1"));
        assert_eq!(why(&[unknown]), "query: unknown name `at`; expected: station_id, driver_token");
        assert_eq!(why(&[station, station]), "query: `station_id` is given more than once");
        assert_eq!(why(&[station]), "query: missing field `driver_token`");
    }
}
