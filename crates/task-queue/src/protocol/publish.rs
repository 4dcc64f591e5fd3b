//! A task to be published: the message that a Celery client would send, and the same message once more.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{Signature, body, repr};
use crate::message::{Headers, Message, Properties};
use crate::timestamp::Timestamp;

/// A task to be published.
#[derive(Debug, Clone)]
pub struct TaskMessage {
    /// The name that workers know it by.
    pub name: &'static str,
    /// A UUID; a retry and a replay keep it.
    pub id: String,
    /// The positional arguments.
    pub args: Vec<Value>,
    /// The arguments as people may see them, in Flower for instance: no personal data, no secrets.
    pub argsrepr: String,
    /// Further headers, such as `traceparent`.
    pub headers: Headers,
    /// When and how it is to be run.
    pub options: TaskOptions,
}

/// When and how a task is to be run.
#[derive(Debug, Clone)]
pub struct TaskOptions {
    /// Not before. The worker that takes it keeps the rest of the wait in the broker.
    pub eta: Option<Timestamp>,
    /// Not after. Not told to the broker, which would drop the message without a trace: the worker that takes it revokes
    /// it.
    pub expires: Option<Timestamp>,
    /// 0 to 9.
    pub priority: u8,
    /// What it is called in events and logs, where not by its name.
    pub shadow: Option<String>,
    /// Nobody wants its result.
    pub ignore_result: bool,
}

impl Default for TaskOptions {
    fn default() -> Self {
        Self { eta: None, expires: None, priority: 0, shadow: None, ignore_result: true }
    }
}

/// Who publishes: Celery's `origin` and `reply_to`.
#[derive(Debug, Clone)]
pub struct Origin {
    name: String,
    reply_to: String,
}

impl Origin {
    /// This process on this host.
    pub fn new() -> Self {
        let name = format!("gen{}@{}", std::process::id(), hostname());
        Self { name, reply_to: uuid::Uuid::new_v4().to_string() }
    }
}

/// This host's name.
fn hostname() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if host.trim().is_empty() { "localhost".to_owned() } else { host.trim().to_owned() }
}

impl Default for Origin {
    fn default() -> Self {
        Self::new()
    }
}

impl TaskMessage {
    /// The message on the wire, with the nineteen headers that a Celery client sends.
    pub fn encode(&self, origin: &Origin) -> Message {
        let TaskOptions { eta, expires, priority, shadow, ignore_result } = &self.options;
        let written = |moment: &Option<Timestamp>| json!(moment.map(|moment| moment.to_string()));
        let mut headers = self.headers.clone();
        let own = [
            ("eta", written(eta)),
            ("expires", written(expires)),
            ("shadow", json!(shadow)),
            ("ignore_result", json!(ignore_result)),
            ("argsrepr", json!(self.argsrepr)),
        ];
        headers.extend(own.map(|(name, value)| (name.to_owned(), value)));
        let embed = json!({"callbacks": null, "errbacks": null, "chain": null, "chord": null});
        let (args, kwargs) = (&self.args[..], &Map::new());
        let (name, id, priority) = (self.name, &self.id[..], *priority);
        Envelope { name, id, args, kwargs, embed, headers, priority, reply_to: None }.seal(origin)
    }
}

/// The parts of a message of protocol 2.
pub(crate) struct Envelope<'a> {
    pub(crate) name: &'a str,
    pub(crate) id: &'a str,
    pub(crate) args: &'a [Value],
    pub(crate) kwargs: &'a Map<String, Value>,
    /// What follows it.
    pub(crate) embed: Value,
    /// Those that are not as in a task that is called without options, and further ones.
    pub(crate) headers: Headers,
    pub(crate) priority: u8,
    /// Where its caller waits, where that is not who publishes it.
    pub(crate) reply_to: Option<String>,
}

impl Envelope<'_> {
    pub(crate) fn seal(self, origin: &Origin) -> Message {
        let mut headers = self.headers;
        let celery = [
            ("lang", "py".into()),
            ("task", self.name.into()),
            ("id", self.id.into()),
            ("shadow", Value::Null),
            ("eta", Value::Null),
            ("expires", Value::Null),
            ("group", Value::Null),
            ("group_index", Value::Null),
            ("retries", 0.into()),
            ("timelimit", json!([null, null])),
            ("root_id", self.id.into()),
            ("parent_id", Value::Null),
            ("kwargsrepr", repr::names(self.kwargs).into()),
            ("origin", origin.name.as_str().into()),
            ("ignore_result", Value::Null),
            ("replaced_task_nesting", 0.into()),
            ("stamped_headers", Value::Null),
            ("stamps", json!({})),
        ];
        for (name, value) in celery {
            headers.entry(name).or_insert(value);
        }
        headers.entry("argsrepr").or_insert_with(|| repr::arguments(self.args).into());
        let properties = Properties {
            content_type: Some("application/json".to_owned()),
            content_encoding: Some("utf-8".to_owned()),
            correlation_id: Some(self.id.to_owned()),
            reply_to: Some(self.reply_to.unwrap_or_else(|| origin.reply_to.clone())),
            priority: Some(self.priority),
            ..Properties::default()
        };
        // JSON's own values can always be written.
        let body = serde_json::to_vec(&(self.args, self.kwargs, self.embed)).unwrap_or_default();
        Message { properties, headers, body: Bytes::from(body) }
    }
}

/// The same task once more, as Celery publishes a retry: the same id, one more in `retries`, itself as its parent.
pub fn retried(message: &Message) -> Message {
    let mut again = message.without_broker_headers();
    let retries = again.number_header("retries").unwrap_or(0).saturating_add(1);
    again.headers.insert("retries".to_owned(), retries.into());
    if let Some(id) = again.headers.get("id").cloned() {
        again.headers.insert("parent_id".to_owned(), id);
    }
    again
}

/// Another task in the place of this one: the same id, and what follows it.
///
/// # Errors
/// Its body cannot be read.
pub(crate) fn replaced(message: &Message, by: &Signature) -> Result<Message, String> {
    let mut other = with_arguments(&message.without_broker_headers(), &by.args, &by.kwargs)?;
    let nesting = other.number_header("replaced_task_nesting").unwrap_or(0).saturating_add(1);
    let headers =
        [("task", json!(by.task)), ("replaced_task_nesting", json!(nesting)), ("retries", json!(0))];
    other.headers.extend(headers.map(|(name, value)| (name.to_owned(), value)));
    Ok(other)
}

/// The same message with other arguments; what follows the task stays.
///
/// # Errors
/// Its body cannot be read.
pub(crate) fn with_arguments(
    message: &Message,
    args: &[Value],
    kwargs: &Map<String, Value>,
) -> Result<Message, String> {
    let body = body::read(message)?;
    let embed = body.get(2).cloned().unwrap_or_default();
    let mut again = message.clone();
    again.headers.remove("compression");
    again.headers.insert("argsrepr".to_owned(), repr::arguments(args).into());
    again.headers.insert("kwargsrepr".to_owned(), repr::names(kwargs).into());
    again.body = Bytes::from(json!([args, kwargs, embed]).to_string());
    Ok(again)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::TaskRequest;
    use super::*;

    fn task(options: TaskOptions) -> TaskMessage {
        TaskMessage {
            name: "t.add",
            id: "0190-1".to_owned(),
            args: vec![json!(1), json!("two")],
            argsrepr: "(1, '****')".to_owned(),
            headers: Headers::from_iter([("traceparent".to_owned(), json!("00-1-2-01"))]),
            options,
        }
    }

    #[test]
    fn what_is_published_is_read_back() {
        let message = task(TaskOptions::default()).encode(&Origin::new());
        assert_eq!(message.headers.len(), 20, "Celery's nineteen and one of ours");
        assert_eq!(message.properties.correlation_id.as_deref(), Some("0190-1"));
        let request = TaskRequest::decode(&message).unwrap();
        assert_eq!((request.args, request.retries), (vec![json!(1), json!("two")], 0));
        assert_eq!((request.eta, request.expires, request.ignore_result), (None, None, Some(true)));
    }

    #[test]
    fn options_have_their_place_among_the_nineteen_headers() {
        let eta = Timestamp::parse("2026-11-21T07:32:15.5Z").unwrap();
        let options = TaskOptions {
            eta: Some(eta),
            expires: Some(eta + Duration::from_secs(60)),
            priority: 7,
            shadow: Some("shown".to_owned()),
            ignore_result: false,
        };
        let message = task(options).encode(&Origin::new());
        assert_eq!(message.headers.len(), 20);
        assert_eq!(message.headers["eta"], "2026-11-21T07:32:15.500000+00:00");
        assert_eq!((message.properties.priority, &message.properties.expiration), (Some(7), &None));
        let request = TaskRequest::decode(&message).unwrap();
        assert_eq!((request.eta, request.expires), (Some(eta), Some(eta + Duration::from_secs(60))));
        assert_eq!((request.shadow.as_deref(), request.ignore_result), (Some("shown"), Some(false)));
    }

    #[test]
    fn a_retry_is_the_same_task_with_one_more_in_its_count() {
        let message = task(TaskOptions::default()).encode(&Origin::new());
        let again = retried(&retried(&message));
        assert_eq!((&again.headers["retries"], &again.headers["parent_id"]), (&json!(2), &json!("0190-1")));
        assert_eq!((&again.body, &again.properties), (&message.body, &message.properties));
        assert_eq!(again.headers["traceparent"], "00-1-2-01");
    }
}
