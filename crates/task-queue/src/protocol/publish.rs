//! Messages to publish: those that a Celery client would send, and retries and replacements of received ones.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{Signature, body, repr};
use crate::message::{Headers, Message, Properties};
use crate::timestamp::Timestamp;

/// A task to publish.
#[derive(Debug, Clone)]
pub struct TaskMessage {
    /// The name under which workers have registered it.
    pub name: &'static str,
    /// A UUID, which a retry or a replay keeps.
    pub id: String,
    /// The positional arguments.
    pub args: Vec<Value>,
    /// The arguments for display, in Flower for instance, without personal data and secrets.
    pub argsrepr: String,
    /// Further headers, such as `traceparent`.
    pub headers: Headers,
    /// The options of the task.
    pub options: TaskOptions,
}

/// When and how a task is run.
#[derive(Debug, Clone)]
pub struct TaskOptions {
    /// Run it no earlier. The worker that receives it early returns it to the broker until then.
    pub eta: Option<Timestamp>,
    /// Run it no later. It is not set as the message's expiration, because the broker would drop the message silently;
    /// instead the worker that receives it too late revokes it.
    pub expires: Option<Timestamp>,
    /// 0 to 9.
    pub priority: u8,
    /// The name in events and logs, if it differs from the task's name.
    pub shadow: Option<String>,
    /// Whether the result is dropped.
    pub ignore_result: bool,
}

impl Default for TaskOptions {
    fn default() -> Self {
        Self { eta: None, expires: None, priority: 0, shadow: None, ignore_result: true }
    }
}

/// The publisher: Celery's `origin` and `reply_to`.
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

/// The name of this host.
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
    /// Encodes the message, with the nineteen headers that a Celery client sends.
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
    /// Its callbacks, errbacks, chain and chord.
    pub(crate) embed: Value,
    /// Headers that differ from those of a task called without options, and additional ones.
    pub(crate) headers: Headers,
    pub(crate) priority: u8,
    /// The caller's reply queue, if the caller is not the publisher.
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
        // JSON values can always be serialized.
        let body = serde_json::to_vec(&(self.args, self.kwargs, self.embed)).unwrap_or_default();
        Message { properties, headers, body: Bytes::from(body) }
    }
}

/// The message of a retry as Celery publishes it: the same id, `retries` incremented, itself as the parent.
pub fn retried(message: &Message) -> Message {
    let mut again = message.without_delivery_headers();
    let retries = again.number_header("retries").unwrap_or(0).saturating_add(1);
    again.headers.insert("retries".to_owned(), retries.into());
    if let Some(id) = again.headers.get("id").cloned() {
        again.headers.insert("parent_id".to_owned(), id);
    }
    again
}

/// The message of a task that replaces this one: the same id, and the same callbacks, errbacks and chain.
///
/// # Errors
/// Returns an error if the body of the message cannot be read.
pub(crate) fn replaced(message: &Message, by: &Signature) -> Result<Message, String> {
    let mut other = with_arguments(&message.without_delivery_headers(), &by.args, &by.kwargs)?;
    let nesting = other.number_header("replaced_task_nesting").unwrap_or(0).saturating_add(1);
    let headers =
        [("task", json!(by.task)), ("replaced_task_nesting", json!(nesting)), ("retries", json!(0))];
    other.headers.extend(headers.map(|(name, value)| (name.to_owned(), value)));
    Ok(other)
}

/// The same message with other arguments. Its callbacks, errbacks and chain are kept.
///
/// # Errors
/// Returns an error if the body of the message cannot be read.
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
