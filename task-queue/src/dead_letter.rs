//! Dead letters: tasks that will not be tried again on their own, kept in `<queue>.dead` with the reason in their headers.
//! We publish them ourselves, confirmed, because RabbitMQ's own dead-lettering would need arguments on the queue that
//! Celery clients do not declare.

use serde_json::{Value, json};

use crate::message::Message;
use crate::protocol::NotATask;

/// The queue of a queue's dead letters.
pub fn queue_of(queue: &str) -> String {
    format!("{queue}.dead")
}

/// Why a task is dead: a word to filter by and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// Such as `unknown_task`. Part of what operators script against.
    pub word: &'static str,
    /// What happened, without personal data.
    pub detail: String,
}

impl Reason {
    /// A reason.
    pub fn new(word: &'static str, detail: impl Into<String>) -> Self {
        Self { word, detail: detail.into() }
    }
}

impl From<NotATask> for Reason {
    fn from(not_a_task: NotATask) -> Self {
        let word = match not_a_task {
            NotATask::Foreign => "not_a_task",
            NotATask::Undecodable(_) => "undecodable",
        };
        Self::new(word, not_a_task.to_string())
    }
}

/// Header: [`Reason::word`].
pub const REASON: &str = "dead_reason";
/// Header: [`Reason::detail`].
pub const DETAIL: &str = "dead_detail";
/// Header: the queue that it was taken from, and that a replay goes to.
pub const QUEUE: &str = "dead_queue";
/// Header: how often it was handed to a worker.
pub const DELIVERIES: &str = "dead_deliveries";
/// Header: when it was buried, in milliseconds since 1970.
pub const AT: &str = "dead_at_ms";

/// The message as it is buried: the same body, properties and headers, and the reason beside them. Without an expiry,
/// or the broker would drop it after all.
pub fn bury(message: &Message, queue: &str, deliveries: u32, reason: &Reason, at_ms: u64) -> Message {
    let mut dead = message.without_broker_headers();
    dead.properties.expiration = None;
    let notes: [(&str, Value); 5] = [
        (REASON, json!(reason.word)),
        (DETAIL, json!(reason.detail)),
        (QUEUE, json!(queue)),
        (DELIVERIES, json!(deliveries)),
        (AT, json!(at_ms)),
    ];
    dead.headers.extend(notes.map(|(name, value)| (name.to_owned(), value)));
    dead
}
