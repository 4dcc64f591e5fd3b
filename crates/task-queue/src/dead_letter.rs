//! Dead letters: tasks that are not retried automatically, kept in `<queue>.dead` with the reason in their headers. The
//! worker publishes them itself, with a confirm: RabbitMQ's own dead-lettering would need queue arguments that Celery
//! clients do not declare.

mod reasons;
pub mod review;

use serde_json::{Value, json};

use crate::message::{Headers, Message, headers_size};
use crate::protocol::NotATask;
pub use reasons::{DeadReason, DeadReasonCode};

/// The name of a queue's dead letter queue.
pub fn queue_of(queue: &str) -> String {
    format!("{queue}.dead")
}

/// Whether this is a dead letter queue.
pub fn is_one(queue: &str) -> bool {
    queue.ends_with(".dead")
}

/// Why and how a task failed for good: a reason to filter by, a sentence for people, and headers that the task adds.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    /// The queue's reason, or the task's own.
    pub reason: DeadReasonCode,
    /// What happened, without personal data.
    pub detail: String,
    /// Further headers, such as [`ATTEMPTS`].
    pub notes: Headers,
}

impl DeadLetter {
    /// A dead letter without further headers.
    pub fn new(reason: impl Into<DeadReasonCode>, detail: impl Into<String>) -> Self {
        Self { reason: reason.into(), detail: detail.into(), notes: Headers::new() }
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, header: &str, value: impl Into<Value>) -> Self {
        self.notes.insert(header.to_owned(), value.into());
        self
    }
}

impl From<NotATask> for DeadLetter {
    fn from(not_a_task: NotATask) -> Self {
        let reason = match not_a_task {
            NotATask::Foreign => DeadReason::NotATask,
            NotATask::Undecodable(_) => DeadReason::Undecodable,
            NotATask::BadMoment { .. } => DeadReason::InvalidHeader,
        };
        Self::new(reason, not_a_task.to_string())
    }
}

/// Header: [`DeadLetter::reason`].
pub const REASON: &str = "dead_reason";
/// Header: [`DeadLetter::detail`].
pub const DETAIL: &str = "dead_detail";
/// Header: the queue that it was consumed from, to which a replay publishes it.
pub const QUEUE: &str = "dead_queue";
/// Header: how often it was delivered to a worker.
pub const DELIVERIES: &str = "dead_deliveries";
/// Header: when it was dead-lettered, in milliseconds since 1970.
pub const AT: &str = "dead_at_ms";
/// Header, set by some tasks: how often it was attempted.
pub const ATTEMPTS: &str = "dead_attempts";
/// Header, set by some tasks: when it began, in milliseconds since 1970.
pub const FIRST_AT: &str = "dead_first_ms";
/// Header, set by some tasks: the host that it concerned.
pub const HOST: &str = "dead_host";
/// Header of a replayed message: the time of the replay, in milliseconds since 1970.
pub const REPLAYED_AT: &str = "replayed_at_ms";
/// Header of a replayed message: its `retries` at that time, so that it may be retried as often as a new one.
pub const REPLAYED_RETRIES: &str = "replayed_retries";

/// A header that takes more than 1/16 of the room was not set by Celery.
const ESSENTIAL: usize = 16;

/// The message to dead-letter: the same body, properties and headers, with the reason added. It has no expiration,
/// because the broker would drop it otherwise. If its headers take more than `room` bytes, only those that a replay
/// needs are kept.
pub(crate) fn annotate(
    message: &Message,
    room: usize,
    queue: &str,
    deliveries: u32,
    letter: &DeadLetter,
    at_ms: u64,
) -> Message {
    let mut dead = message.without_delivery_headers();
    dead.properties.expiration = None;
    let size = headers_size(&dead.headers);
    let mut detail = letter.detail.clone();
    if size > room {
        // With the added headers they would no longer fit into AMQP's single header frame.
        dead.headers.retain(|name, value| is_essential(name, value, room / ESSENTIAL));
        detail = format!("{detail} (its headers of {size} bytes were left out)");
    }
    let notes: [(&str, Value); 5] = [
        (REASON, json!(letter.reason.as_str())),
        (DETAIL, json!(detail)),
        (QUEUE, json!(queue)),
        (DELIVERIES, json!(deliveries)),
        (AT, json!(at_ms)),
    ];
    dead.headers.extend(letter.notes.clone());
    dead.headers.extend(notes.map(|(name, value)| (name.to_owned(), value)));
    dead
}

/// Whether a replay needs the header, unless it is unreasonably large.
fn is_essential(name: &str, value: &Value, max: usize) -> bool {
    let essential = ["id", "task", "retries", "compression", "eta", "expires"];
    essential.contains(&name) && value.to_string().len() <= max
}

/// The message to replay: the same id, without the headers that were added when it was dead-lettered. `None` if it does
/// not say which queue it came from.
pub fn revive(dead: &Message, at_ms: u64) -> Option<(String, Message)> {
    let queue = dead.text_header(QUEUE)?.to_owned();
    let mut message = dead.without_delivery_headers();
    message.headers.retain(|name, _| !name.starts_with("dead_"));
    let retries = message.number_header("retries").unwrap_or(0);
    message.headers.insert(REPLAYED_AT.to_owned(), json!(at_ms));
    message.headers.insert(REPLAYED_RETRIES.to_owned(), json!(retries));
    Some((queue, message))
}
