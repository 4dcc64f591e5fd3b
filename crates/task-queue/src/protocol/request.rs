//! A task received from a queue: the content of its message.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{NotATask, Signature, binding, body, protocol1, typed_json};
use crate::message::Message;
use crate::timestamp::Timestamp;

/// A task received from a queue. A field that is missing, or has an unexpected type, is `None` or its default, except
/// where that would run the task at the wrong time or lose a part of it.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskRequest {
    /// The task's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The name in events and logs, if it differs from the task's name.
    pub shadow: Option<String>,
    /// Positional arguments, typed JSON resolved.
    pub args: Vec<Value>,
    /// Named arguments, typed JSON resolved.
    pub kwargs: Map<String, Value>,
    /// The positional arguments for display, as the client wrote them.
    pub argsrepr: Option<String>,
    /// The named arguments for display, as the client wrote them.
    pub kwargsrepr: Option<String>,
    /// How often it was retried before.
    pub retries: u32,
    /// Run it no earlier.
    pub eta: Option<Timestamp>,
    /// Run it no later.
    pub expires: Option<Timestamp>,
    /// Whether the result is dropped; `None` leaves that to the task.
    pub ignore_result: Option<bool>,
    /// Its time limits.
    pub time_limit: TimeLimit,
    /// The first task of the workflow.
    pub root_id: Option<String>,
    /// The task that called it, or itself if it is a retry.
    pub parent_id: Option<String>,
    /// The group that it belongs to.
    pub group: Option<String>,
    /// The caller's reply queue.
    pub reply_to: Option<String>,
    /// The id by which the caller knows the result.
    pub correlation_id: Option<String>,
    /// 0 to 9, or up to the queue's `x-max-priority`.
    pub priority: Option<u8>,
    /// The process that published it.
    pub origin: Option<String>,
    /// Its stamps, by the names in `stamped_headers`.
    pub stamps: Map<String, Value>,
    /// The tasks to publish if it succeeds.
    pub callbacks: Vec<Signature>,
    /// The tasks to publish or call if it fails.
    pub errbacks: Vec<Signature>,
    /// The rest of its chain, in Celery's order: the next task is the last element.
    pub chain: Vec<Signature>,
    /// The task to call with the results of the whole chord that this task is a part of.
    pub chord: Option<Signature>,
}

/// The time limits of a task.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimeLimit {
    /// The soft limit.
    pub soft: Option<Duration>,
    /// The hard limit.
    pub hard: Option<Duration>,
}

/// Whether a task may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timing {
    /// It may run now.
    Due,
    /// It may run after this time.
    Early(Duration),
    /// It has expired, or will have expired at its `eta`.
    Expired,
}

impl TaskRequest {
    /// Decodes a message of protocol 2, of protocol 1, or of the hybrid.
    ///
    /// # Errors
    /// Returns [`NotATask`] if the message has to be dead-lettered.
    pub fn decode(message: &Message) -> Result<Self, NotATask> {
        let upgraded = protocol1::upgrade(message)?;
        let message = upgraded.as_ref().unwrap_or(message);
        let text = |header: &str| message.text_header(header).map(str::to_owned);
        let (Some(name), Some(id)) = (text("task"), text("id")) else { return Err(NotATask::Foreign) };
        let Body { args, kwargs, mut embed } = Body::read(message)?;
        let mut signatures = |name: &str| Signature::list(embed.remove(name)).map_err(NotATask::Undecodable);
        Ok(Self {
            shadow: text("shadow").filter(|shadow| !shadow.is_empty()),
            argsrepr: text("argsrepr"),
            kwargsrepr: text("kwargsrepr"),
            retries: u32::try_from(message.number_header("retries").unwrap_or(0)).unwrap_or(u32::MAX),
            eta: moment(message, "eta")?,
            expires: moment(message, "expires")?,
            ignore_result: message.headers.get("ignore_result").and_then(Value::as_bool),
            time_limit: TimeLimit::read(message.headers.get("timelimit")),
            root_id: text("root_id"),
            parent_id: text("parent_id"),
            group: text("group"),
            reply_to: message.properties.reply_to.clone().filter(|name| !name.is_empty()),
            correlation_id: message.properties.correlation_id.clone(),
            priority: message.properties.priority,
            origin: text("origin"),
            stamps: message.headers.get("stamps").and_then(Value::as_object).cloned().unwrap_or_default(),
            callbacks: signatures("callbacks")?,
            errbacks: signatures("errbacks")?,
            chain: signatures("chain")?,
            chord: signatures("chord")?.pop(),
            id,
            name,
            args,
            kwargs,
        })
    }

    /// Whether it may run now. A task that expires before its `eta` has expired already.
    pub fn timing(&self, now: Timestamp) -> Timing {
        let expired = |expires: Timestamp| expires < now || self.eta.is_some_and(|eta| expires < eta);
        if self.expires.is_some_and(expired) {
            return Timing::Expired;
        }
        match self.eta {
            Some(eta) if eta > now => Timing::Early(eta.since(now)),
            _ => Timing::Due,
        }
    }

    /// The arguments by name, bound as Python binds them to a function with these parameters.
    ///
    /// # Errors
    /// Returns an error that says so if arguments are too many, too few, passed twice or unknown.
    pub fn bind(&self, parameters: &[&str]) -> Result<Value, String> {
        binding::bind(parameters, &self.args, &self.kwargs).map(Value::Object)
    }
}

impl TimeLimit {
    /// Celery sends the hard limit first; 0 means no limit.
    fn read(header: Option<&Value>) -> Self {
        let limit = |index: usize| {
            let seconds = header?.get(index)?.as_f64()?;
            Duration::try_from_secs_f64(seconds).ok().filter(|limit| !limit.is_zero())
        };
        Self { soft: limit(1), hard: limit(0) }
    }
}

/// If the time that was asked for cannot be read, the task is not run at all.
fn moment(message: &Message, header: &'static str) -> Result<Option<Timestamp>, NotATask> {
    let problem = "is not an ISO 8601 timestamp";
    match message.headers.get(header) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => {
            Timestamp::parse(text).map(Some).ok_or(NotATask::BadMoment { header, problem })
        }
        Some(_) => Err(NotATask::BadMoment { header, problem }),
    }
}

/// The three parts of a body of protocol 2.
struct Body {
    args: Vec<Value>,
    kwargs: Map<String, Value>,
    embed: Map<String, Value>,
}

impl Body {
    fn read(message: &Message) -> Result<Self, NotATask> {
        let undecodable = |why: &str| NotATask::Undecodable(why.to_owned());
        let Value::Array(parts) = body::read(message).map_err(NotATask::Undecodable)? else {
            return Err(undecodable("it is not a list of arguments, named arguments and options"));
        };
        let mut parts = parts.into_iter();
        let (Some(Value::Array(args)), Some(Value::Object(kwargs))) = (parts.next(), parts.next()) else {
            return Err(undecodable("it does not begin with a list and an object of arguments"));
        };
        let embed = match parts.next() {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(embed)) => embed,
            Some(_) => return Err(undecodable("its options are not an object")),
        };
        let args: Result<_, String> = args.into_iter().map(typed_json::resolve).collect();
        let kwargs: Result<_, String> =
            kwargs.into_iter().map(|(name, value)| Ok((name, typed_json::resolve(value)?))).collect();
        let (args, kwargs) = (args.map_err(NotATask::Undecodable)?, kwargs.map_err(NotATask::Undecodable)?);
        Ok(Self { args, kwargs, embed })
    }
}

#[cfg(test)]
mod tests;
