//! Converts messages to and from lapin's types. A header keeps its meaning; RabbitMQ's uncommon types become the
//! closest JSON type.

use bytes::Bytes;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldArray, FieldTable, LongString, ShortString};
use serde_json::{Map, Number, Value};

use crate::broker::TooLarge;
use crate::message::{Headers, Message, Properties, headers_size};
use crate::timestamp::Timestamp;

/// The bytes of the frame besides the variable properties: the frame's type, channel, size and end, and the header's
/// class, weight, body size and flags. Also properties of a fixed size: the delivery mode, the priority and the timestamp.
const ROUND_PROPERTIES: usize = 8 + 14 + 2 + 8;
/// Celery's headers that are times.
const MOMENTS: [&str; 2] = ["eta", "expires"];

pub(super) fn to_message(properties: &BasicProperties, body: Vec<u8>) -> Message {
    let text = |field: &Option<ShortString>| field.as_ref().map(|text| text.as_str().to_owned());
    let mut headers = properties.headers().as_ref().map(to_map).unwrap_or_default();
    if let Some(table) = properties.headers() {
        headers.extend(MOMENTS.iter().filter_map(|name| written_moment(table, name)));
    }
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
        timestamp: *properties.timestamp(),
    };
    Message { properties, headers, body: Bytes::from(body) }
}

/// A time that was sent as an AMQP timestamp, in the text form that Celery writes. py-amqp reads such a timestamp as a
/// `datetime`, which Celery accepts.
fn written_moment(table: &FieldTable, name: &str) -> Option<(String, Value)> {
    let AMQPValue::Timestamp(seconds) = table.inner().get(name)? else { return None };
    let moment = Timestamp::from_unix(i64::try_from(*seconds).ok()?)?;
    Some((name.to_owned(), Value::from(moment.to_string())))
}

/// Checked before anything is sent: a header frame larger than `frame_max` closes the connection, and would again after
/// a reconnect.
///
/// # Errors
/// Returns an error if a text is longer than an AMQP short string (255 bytes), or the headers larger than a frame.
pub(super) fn to_properties(message: &Message, frame_max: usize) -> Result<BasicProperties, TooLarge> {
    let needed = ROUND_PROPERTIES + texts_size(&message.properties) + headers_size(&message.headers);
    if needed > frame_max {
        return Err(TooLarge::Headers { needed, agreed: frame_max });
    }
    properties(message).ok_or(TooLarge::Name)
}

/// Each has a length byte.
fn texts_size(properties: &Properties) -> usize {
    let Properties {
        content_type,
        content_encoding,
        correlation_id,
        reply_to,
        expiration,
        message_id,
        kind,
        app_id,
        priority: _,
        timestamp: _,
    } = properties;
    let texts =
        [content_type, content_encoding, correlation_id, reply_to, expiration, message_id, kind, app_id];
    texts.into_iter().flatten().map(|text| 1 + text.len()).sum()
}

fn properties(message: &Message) -> Option<BasicProperties> {
    let from = &message.properties;
    let mut to = BasicProperties::default().with_headers(to_table(&message.headers)?);
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
    if let Some(timestamp) = from.timestamp {
        to = to.with_timestamp(timestamp);
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

/// Integers get the width that py-amqp gives them: 32 bits where they fit.
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
        let message = Message { properties: long, ..Message::default() };
        assert_eq!(to_properties(&message, 131_072), Err(TooLarge::Name));
    }

    #[test]
    fn headers_larger_than_the_frame_that_was_agreed_on_are_refused() {
        let fits = |length: usize, frame_max| {
            let headers = json!({"a": "x".repeat(length)}).as_object().unwrap().clone();
            let needed = ROUND_PROPERTIES + headers_size(&headers);
            let result = to_properties(&Message { headers, ..Message::default() }, frame_max);
            assert!(result.is_ok() || result == Err(TooLarge::Headers { needed, agreed: frame_max }));
            result.is_ok()
        };
        assert!(fits(131_000, 131_072) && !fits(131_072, 131_072));
        assert!(fits(4000, 4096) && !fits(4096, 4096));
    }

    #[test]
    fn an_amqp_timestamp_in_eta_or_expires_becomes_celerys_text() {
        let mut table = FieldTable::default();
        table.insert("eta".into(), AMQPValue::Timestamp(1_795_246_335));
        table.insert("expires".into(), AMQPValue::Timestamp(u64::MAX));
        table.insert("sent".into(), AMQPValue::Timestamp(7));
        let message = to_message(&BasicProperties::default().with_headers(table), Vec::new());
        let expected = json!({"eta": "2026-11-21T07:32:15+00:00", "expires": u64::MAX, "sent": 7});
        assert_eq!(Value::Object(message.headers), expected);
    }

    #[test]
    fn the_size_of_headers_is_what_goes_over_the_wire() {
        let headers = json!({"a": [1, 5_000_000_000_i64, null, true, 1.5, "é"], "bc": {"d": {}}});
        // Names have a length byte; values have a type byte; texts, lists and tables have four length bytes.
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
            let properties = to_properties(&message, 131_072).unwrap();
            prop_assert_eq!(to_message(&properties, Vec::new()), message);
        }
    }
}
