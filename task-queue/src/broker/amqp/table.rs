//! Messages to and from lapin's types. A header keeps its meaning; RabbitMQ's exotic types become their nearest in JSON.

use bytes::Bytes;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldArray, FieldTable, LongString, ShortString};
use serde_json::{Map, Number, Value};

use crate::message::{Headers, Message, Properties, headers_size};

/// AMQP's "survives a restart of the broker".
const PERSISTENT: u8 = 2;

/// Headers and properties go in one frame, RabbitMQ's being of this size; a larger one costs the connection. What is beside
/// the headers is at most eight texts of 256 bytes and a few numbers.
const LARGEST_HEADERS: usize = 131_072 - 8 * 256 - 64;

pub(super) fn to_message(properties: &BasicProperties, body: Vec<u8>) -> Message {
    let text = |field: &Option<ShortString>| field.as_ref().map(|text| text.as_str().to_owned());
    let headers = properties.headers().as_ref().map(to_map).unwrap_or_default();
    let properties = Properties {
        content_type: text(properties.content_type()),
        content_encoding: text(properties.content_encoding()),
        correlation_id: text(properties.correlation_id()),
        reply_to: text(properties.reply_to()),
        priority: *properties.priority(),
        expiration: text(properties.expiration()),
        message_id: text(properties.message_id()),
        kind: text(properties.kind()),
        app_id: text(properties.app_id()),
    };
    Message { properties, headers, body: Bytes::from(body) }
}

/// `None` when a text is longer than AMQP's short strings can be (255 bytes), or the headers than a frame.
pub(super) fn to_properties(message: &Message) -> Option<BasicProperties> {
    let from = &message.properties;
    if headers_size(&message.headers) > LARGEST_HEADERS {
        return None;
    }
    let mut to =
        BasicProperties::default().with_delivery_mode(PERSISTENT).with_headers(to_table(&message.headers)?);
    macro_rules! copy {
        ($($field:ident => $with:ident),*) => {
            $(if let Some(text) = &from.$field { to = to.$with(short(text)?); })*
        };
    }
    copy!(content_type => with_content_type, content_encoding => with_content_encoding,
          correlation_id => with_correlation_id, reply_to => with_reply_to, expiration => with_expiration,
          message_id => with_message_id, kind => with_type, app_id => with_app_id);
    if let Some(priority) = from.priority {
        to = to.with_priority(priority);
    }
    Some(to)
}

pub(super) fn short(text: &str) -> Option<ShortString> {
    ShortString::try_new(text).ok()
}

fn to_map(table: &FieldTable) -> Headers {
    table.inner().iter().map(|(name, value)| (name.as_str().to_owned(), to_json(value))).collect()
}

fn to_json(value: &AMQPValue) -> Value {
    match value {
        AMQPValue::Boolean(value) => Value::from(*value),
        AMQPValue::ShortShortInt(value) => Value::from(*value),
        AMQPValue::ShortShortUInt(value) => Value::from(*value),
        AMQPValue::ShortInt(value) => Value::from(*value),
        AMQPValue::ShortUInt(value) => Value::from(*value),
        AMQPValue::LongInt(value) => Value::from(*value),
        AMQPValue::LongUInt(value) => Value::from(*value),
        AMQPValue::LongLongInt(value) => Value::from(*value),
        AMQPValue::Float(value) => float(f64::from(*value)),
        AMQPValue::Double(value) => float(*value),
        AMQPValue::DecimalValue(value) => float(f64::from(value.value) / 10f64.powi(i32::from(value.scale))),
        AMQPValue::ShortString(value) => Value::from(value.as_str()),
        AMQPValue::LongString(value) => Value::from(String::from_utf8_lossy(value.as_bytes())),
        AMQPValue::FieldArray(values) => values.as_slice().iter().map(to_json).collect(),
        AMQPValue::Timestamp(value) => Value::from(*value),
        AMQPValue::FieldTable(table) => Value::Object(to_map(table)),
        AMQPValue::ByteArray(bytes) => Value::from(String::from_utf8_lossy(bytes.as_slice())),
        AMQPValue::Void => Value::Null,
    }
}

fn float(value: f64) -> Value {
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

pub(super) fn to_table(map: &Map<String, Value>) -> Option<FieldTable> {
    let mut table = FieldTable::default();
    for (name, value) in map {
        table.insert(short(name)?, to_amqp(value)?);
    }
    Some(table)
}

/// Integers take the width that py-amqp gives them: 32 bits where they fit.
fn to_amqp(value: &Value) -> Option<AMQPValue> {
    Some(match value {
        Value::Null => AMQPValue::Void,
        Value::Bool(value) => AMQPValue::Boolean(*value),
        Value::Number(number) => match number.as_i64() {
            Some(value) => i32::try_from(value).map_or(AMQPValue::LongLongInt(value), AMQPValue::LongInt),
            None => AMQPValue::Double(number.as_f64()?),
        },
        Value::String(text) => AMQPValue::LongString(LongString::from(text.as_str())),
        Value::Array(values) => {
            AMQPValue::FieldArray(FieldArray::from(values.iter().map(to_amqp).collect::<Option<Vec<_>>>()?))
        }
        Value::Object(map) => AMQPValue::FieldTable(to_table(map)?),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_header_has_the_type_that_celery_sends() {
        let table = to_table(
            json!({"retries": 0, "eta": null, "ns": 1_795_246_192_094_754_391_i64}).as_object().unwrap(),
        );
        let table = table.unwrap();
        assert_eq!(table.inner().get("retries"), Some(&AMQPValue::LongInt(0)));
        assert_eq!(table.inner().get("eta"), Some(&AMQPValue::Void));
        assert_eq!(table.inner().get("ns"), Some(&AMQPValue::LongLongInt(1_795_246_192_094_754_391)));
    }

    #[test]
    fn a_text_too_long_for_amqp_is_refused_not_cut() {
        let long = Properties { correlation_id: Some("x".repeat(256)), ..Properties::default() };
        assert!(to_properties(&Message { properties: long, ..Message::default() }).is_none());
    }

    #[test]
    fn headers_larger_than_a_frame_are_refused_and_their_size_is_what_goes_over_the_wire() {
        let size = |length: usize| {
            let headers = json!({"a": "x".repeat(length)}).as_object().unwrap().clone();
            to_properties(&Message { headers, ..Message::default() }).is_some()
        };
        assert!(size(100_000) && !size(131_000));
        let headers = json!({"a": [1, 5_000_000_000_i64, null, true, 1.5, "é"], "bc": {"d": {}}});
        // Names with a byte of length; values with a byte of type; texts, lists and tables with four of length.
        let list = 1 + 4 + (1 + 4) + (1 + 8) + 1 + 2 + (1 + 8) + (1 + 4 + 2);
        let map = 1 + 4 + (1 + 1) + (1 + 4);
        assert_eq!(headers_size(headers.as_object().unwrap()), 4 + (1 + 1 + list) + (1 + 2 + map));
    }

    fn header() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e9..1e9).prop_map(Value::from),
            "\\PC{0,20}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 20, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-z_-]{1,10}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn headers_survive_the_way_there_and_back(headers in prop::collection::btree_map("[a-z_-]{1,20}", header(), 0..6)) {
            let message = Message { headers: headers.into_iter().collect(), ..Message::default() };
            let properties = to_properties(&message).unwrap();
            prop_assert_eq!(to_message(&properties, Vec::new()), message);
        }
    }
}
