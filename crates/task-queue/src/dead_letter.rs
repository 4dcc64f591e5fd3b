//! Dead letters: tasks that will not be tried again on their own, kept in `<queue>.dead` with the reason in their headers.
//! We publish them ourselves, confirmed, because RabbitMQ's own dead-lettering would need arguments on the queue that
//! Celery clients do not declare.

mod reasons;
pub mod review;

use serde_json::{Value, json};

use crate::message::{Headers, Message, headers_size};
use crate::protocol::NotATask;
pub use reasons::{DeadReason, DeadReasonCode};

/// The queue of a queue's dead letters.
pub fn queue_of(queue: &str) -> String {
    format!("{queue}.dead")
}

/// Whether this is a queue of dead letters.
pub fn is_one(queue: &str) -> bool {
    queue.ends_with(".dead")
}

/// Why and how a task failed for good: a reason to filter by, a sentence for people, and what its task adds.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    /// The queue's, or the task's own.
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

    /// The same with a further header.
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
/// Header: the queue that it was taken from, and that a replay goes to.
pub const QUEUE: &str = "dead_queue";
/// Header: how often it was delivered to a worker.
pub const DELIVERIES: &str = "dead_deliveries";
/// Header: when it was dead-lettered, in milliseconds since 1970.
pub const AT: &str = "dead_at_ms";
/// Header, where the task says so: how often it was tried.
pub const ATTEMPTS: &str = "dead_attempts";
/// Header, where the task says so: when it began, in milliseconds since 1970.
pub const FIRST_AT: &str = "dead_first_ms";
/// Header, where the task says so: the host that it was about.
pub const HOST: &str = "dead_host";
/// Header of a replayed message: when, in milliseconds since 1970.
pub const REPLAYED_AT: &str = "replayed_at_ms";
/// Header of a replayed message: its `retries` at that time, so that it can be tried as often as a new one.
pub const REPLAYED_RETRIES: &str = "replayed_retries";

/// A header that takes more than this part of the room was none of Celery's.
const ESSENTIAL: usize = 16;

/// The message to dead-letter: the same body, properties and headers, with the reason added. It has no expiry, or the
/// broker would drop it after all. If its headers take more than `room` bytes, only those that a replay needs are kept.
pub(crate) fn annotate(
    message: &Message,
    room: usize,
    queue: &str,
    deliveries: u32,
    letter: &DeadLetter,
    at_ms: u64,
) -> Message {
    let mut dead = message.without_broker_headers();
    dead.properties.expiration = None;
    let size = headers_size(&dead.headers);
    let mut detail = letter.detail.clone();
    if size > room {
        // With our notes beside them they would not fit into AMQP's one frame of headers any more.
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

/// What the task could not be run without, unless it is out of all proportion.
fn is_essential(name: &str, value: &Value, max: usize) -> bool {
    let essential = ["id", "task", "retries", "compression", "eta", "expires"];
    essential.contains(&name) && value.to_string().len() <= max
}

/// The message as it is replayed: the same id, without what was noted when it was dead-lettered. Nothing when it does not say
/// which queue it came from.
pub fn revive(dead: &Message, at_ms: u64) -> Option<(String, Message)> {
    let queue = dead.text_header(QUEUE)?.to_owned();
    let mut message = dead.without_broker_headers();
    message.headers.retain(|name, _| !name.starts_with("dead_"));
    let retries = message.number_header("retries").unwrap_or(0);
    message.headers.insert(REPLAYED_AT.to_owned(), json!(at_ms));
    message.headers.insert(REPLAYED_RETRIES.to_owned(), json!(retries));
    Some((queue, message))
}
