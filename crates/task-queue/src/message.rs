//! A message as every broker of ours carries it: AMQP's properties and headers, and the body as it came.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Headers by name. AMQP's own types become JSON's; a number keeps its value, not its width.
pub type Headers = Map<String, Value>;

/// One message. The body is never changed on its way, also where it is none of ours.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Message {
    /// What stands beside the body.
    pub properties: Properties,
    /// Celery keeps the task's name and id here.
    pub headers: Headers,
    /// The body, to the byte.
    pub body: Bytes,
}

/// The AMQP 0-9-1 basic properties that a task queue has a use for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Properties {
    /// Such as `application/json`.
    pub content_type: Option<String>,
    /// Such as `utf-8`.
    pub content_encoding: Option<String>,
    /// Celery: the task's id.
    pub correlation_id: Option<String>,
    /// Celery: where the caller waits for a result.
    pub reply_to: Option<String>,
    /// 0 to 9; Celery always sets it.
    pub priority: Option<u8>,
    /// Milliseconds after which the broker may drop the message, as text.
    pub expiration: Option<String>,
    /// An id of the message that is not Celery's.
    pub message_id: Option<String>,
    /// A type that is not Celery's.
    pub kind: Option<String>,
    /// Who published it.
    pub app_id: Option<String>,
}

/// Headers with which RabbitMQ marks its own dead-lettering and counting. Publishing them again would make its cycle
/// detection drop the message without a word (celery#9867).
const BROKER_HEADERS: [&str; 9] = [
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
    /// The same message, ready to be published again: without what the broker wrote on it.
    #[must_use]
    pub fn without_broker_headers(&self) -> Self {
        let mut again = self.clone();
        again.headers.retain(|name, _| !BROKER_HEADERS.contains(&name.as_str()));
        again
    }

    /// The same message, which the broker may not drop or let go early.
    #[must_use]
    pub fn without_expiration(&self) -> Self {
        let properties = Properties { expiration: None, ..self.properties.clone() };
        Self { properties, ..self.clone() }
    }

    /// A header's text.
    pub fn text_header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.as_str()
    }

    /// A header's number, of whatever width it was sent.
    pub fn number_header(&self, name: &str) -> Option<u64> {
        self.headers.get(name)?.as_u64()
    }
}

/// Half of RabbitMQ's default frame, which all headers and properties have to fit into: room for what is added to them on
/// a message's way.
pub(crate) const MAX_HEADERS: usize = 64 * 1024;

/// The bytes that the headers take as an AMQP table.
pub(crate) fn headers_size(headers: &Headers) -> usize {
    let members = headers.iter().map(|(name, value)| 1 + name.len() + value_size(value));
    4 + members.sum::<usize>()
}

/// With the byte that says its type.
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
