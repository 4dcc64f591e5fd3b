//! A message as both brokers carry it: AMQP's properties and headers, and the body unchanged.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Headers by name. AMQP types become JSON types; a number keeps its value, not its width.
pub type Headers = Map<String, Value>;

/// One message. Its body is never changed, whatever sent it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Message {
    /// AMQP's basic properties.
    pub properties: Properties,
    /// The headers, which hold the task's name and id in protocol 2.
    pub headers: Headers,
    /// The body, byte for byte.
    pub body: Bytes,
}

/// The AMQP 0-9-1 basic properties that a task queue uses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Properties {
    /// Such as `application/json`.
    pub content_type: Option<String>,
    /// Such as `utf-8`.
    pub content_encoding: Option<String>,
    /// Celery: the task's id.
    pub correlation_id: Option<String>,
    /// Celery: the queue at which the caller waits for the result.
    pub reply_to: Option<String>,
    /// 0 to 9; Celery always sets it.
    pub priority: Option<u8>,
    /// Milliseconds after which the broker may drop the message, as text.
    pub expiration: Option<String>,
    /// A message id. Celery does not set it.
    pub message_id: Option<String>,
    /// A message type. Celery does not set it.
    pub kind: Option<String>,
    /// The application that published it.
    pub app_id: Option<String>,
    /// When what it reports happened, in seconds since 1970. Celery does not set it.
    pub timestamp: Option<u64>,
}

/// Header of a task that a worker received before its `eta` and returned to the broker: that `eta`. It was reported as
/// received then, and is not again.
pub(crate) const POSTPONED_UNTIL: &str = "postponed_until";

/// Headers that say how a message reached this worker. Publishing RabbitMQ's own again would make its cycle detection
/// drop the message silently (celery#9867).
const HEADERS_OF_DELIVERY: [&str; 10] = [
    POSTPONED_UNTIL,
    "x-death",
    "x-first-death-exchange",
    "x-first-death-queue",
    "x-first-death-reason",
    "x-last-death-exchange",
    "x-last-death-queue",
    "x-last-death-reason",
    "x-delivery-count",
    "x-acquired-count",
];

impl Message {
    /// The same message, ready to be published again: without the headers about its delivery.
    #[must_use]
    pub fn without_delivery_headers(&self) -> Self {
        let mut again = self.clone();
        again.headers.retain(|name, _| !HEADERS_OF_DELIVERY.contains(&name.as_str()));
        again
    }

    /// The same message without its expiration, so that the broker neither drops it nor releases it early.
    #[must_use]
    pub fn without_expiration(&self) -> Self {
        let properties = Properties { expiration: None, ..self.properties.clone() };
        Self { properties, ..self.clone() }
    }

    /// The text of a header.
    pub fn text_header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.as_str()
    }

    /// The number in a header, whatever its width was.
    pub fn number_header(&self, name: &str) -> Option<u64> {
        self.headers.get(name)?.as_u64()
    }
}

/// Half of RabbitMQ's default frame, which has to hold all headers and properties. The rest leaves room for headers
/// that are added later.
pub(crate) const MAX_HEADERS: usize = 64 * 1024;

/// The size of the headers in bytes, as an AMQP table.
pub(crate) fn headers_size(headers: &Headers) -> usize {
    let members = headers.iter().map(|(name, value)| 1 + name.len() + value_size(value));
    4 + members.sum::<usize>()
}

/// Includes the byte for the type.
fn value_size(value: &Value) -> usize {
    1 + match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(number) if number.as_i64().is_some_and(|number| i32::try_from(number).is_ok()) => 4,
        Value::Number(_) => 8,
        Value::String(text) => 4 + text.len(),
        Value::Array(values) => 4 + values.iter().map(value_size).sum::<usize>(),
        Value::Object(map) => headers_size(map),
    }
}
