//! A task as it was taken from a queue: what its message says of it.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{NotATask, Signature, binding, body, protocol1, typed_json};
use crate::message::Message;
use crate::timestamp::Timestamp;

/// A task that was taken from a queue. What a client need not say, or says in another type, is missing here, except where
/// a wrong guess would run the task at the wrong time or lose a part of it.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskRequest {
    /// The task's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it is called in events and logs, where not by its name.
    pub shadow: Option<String>,
    /// Positional arguments, typed JSON resolved.
    pub args: Vec<Value>,
    /// Named arguments, typed JSON resolved.
    pub kwargs: Map<String, Value>,
    /// The arguments for people, as the client wrote them.
    pub argsrepr: Option<String>,
    /// The named arguments for people, as the client wrote them.
    pub kwargsrepr: Option<String>,
    /// How often it was published again already.
    pub retries: u32,
    /// Not to be run before.
    pub eta: Option<Timestamp>,
    /// Not to be run after.
    pub expires: Option<Timestamp>,
    /// Whether nobody wants its result; where the client does not say, it is as the task has it.
    pub ignore_result: Option<bool>,
    /// How long it may take.
    pub time_limit: TimeLimit,
    /// The task that everything began with.
    pub root_id: Option<String>,
    /// The task that called it, or itself once it is a retry.
    pub parent_id: Option<String>,
    /// The group it is one of.
    pub group: Option<String>,
    /// Where the caller waits for a result.
    pub reply_to: Option<String>,
    /// What the caller knows the result by.
    pub correlation_id: Option<String>,
    /// 0 to 9, or what the queue's `x-max-priority` admits.
    pub priority: Option<u8>,
    /// Which process published it.
    pub origin: Option<String>,
    /// What it was stamped with, by the names in `stamped_headers`.
    pub stamps: Map<String, Value>,
    /// To be published when it has succeeded.
    pub callbacks: Vec<Signature>,
    /// To be published when it has failed.
    pub errbacks: Vec<Signature>,
    /// What is left of its chain, in Celery's order: the next is the last.
    pub chain: Vec<Signature>,
    /// What is to be called with the results of the whole chord that it is a part of.
    pub chord: Option<Signature>,
}

/// How long a task may take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimeLimit {
    /// After this it is told.
    pub soft: Option<Duration>,
    /// After this it is ended.
    pub hard: Option<Duration>,
}

/// Whether a task is to be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timing {
    /// Now.
    Due,
    /// Not before this has passed.
    Early(Duration),
    /// Never: it has expired, or will have before its time comes.
    Expired,
}

impl TaskRequest {
    /// Reads a message of protocol 2, of protocol 1, or the hybrid, as a task.
    ///
    /// # Errors
    /// [`NotATask`]: the message belongs among the dead letters.
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

    /// Whether it is to be run at this moment. One that would have expired when its `eta` comes need not wait for that.
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

    /// The arguments by name, as Python would bind them to a function with these parameters.
    ///
    /// # Errors
    /// Too many, too few, given twice, or unknown: the text says which.
    pub fn bind(&self, parameters: &[&str]) -> Result<Value, String> {
        binding::bind(parameters, &self.args, &self.kwargs).map(Value::Object)
    }
}

impl TimeLimit {
    /// Celery sends the hard one first, and takes 0 for none.
    fn read(header: Option<&Value>) -> Self {
        let limit = |index: usize| {
            let seconds = header?.get(index)?.as_f64()?;
            Duration::try_from_secs_f64(seconds).ok().filter(|limit| !limit.is_zero())
        };
        Self { soft: limit(1), hard: limit(0) }
    }
}

/// Neither run now nor at another time, if that is unreadable which was asked for.
fn moment(message: &Message, header: &'static str) -> Result<Option<Timestamp>, NotATask> {
    let problem = "is no moment of ISO 8601";
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
            Some(_) => return Err(undecodable("its options are no object")),
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
