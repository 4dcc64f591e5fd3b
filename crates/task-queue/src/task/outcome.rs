//! How a run may end: the words that a task has for it, and what goes with each.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::dead_letter::DeadLetter;
use crate::message::{Headers, Message};
use crate::protocol::{Signature, repr};
use crate::timestamp::Timestamp;

/// How a run ended. The worker acknowledges only after it has carried this out.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Its effect is durable, and there is nothing to return: Python's `None`.
    Done,
    /// Its effect is durable, and this is what it returns.
    Succeeded(Value),
    /// It failed, which whoever waits for its result is told. It is no dead letter.
    Failed(Box<Failure>),
    /// The same task again, with the same id, after a while.
    Retry(Box<Retry>),
    /// The same task again after a while, without having been tried: its `retries` stay as they are.
    Postpone {
        /// How long the broker keeps it.
        after: Duration,
    },
    /// Its effect is durable up to here, and this message carries on from there.
    Then(Box<FollowUp>),
    /// Another task does it instead: under the same id, and followed by what this one would be followed by.
    Replaced(Box<Signature>),
    /// It will not work however often it is tried.
    Dead(DeadLetter),
    /// This worker does not take it: back into the queue, or among the dead letters.
    Rejected {
        /// Why.
        reason: String,
        /// Back into the queue.
        requeue: bool,
    },
    /// It has seen to its own result; nobody is told anything.
    Ignored,
    /// It is not to be run any more: told so, and acknowledged.
    Revoked {
        /// Because its time is over, and not because somebody asked for it.
        expired: bool,
    },
    /// Not done; somebody else shall take it at once. For stopping, not for waiting.
    Requeue,
}

/// Why a task failed, as an exception of Python that a client can raise again.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// The exception's class, such as `ValueError`.
    pub exc_type: String,
    /// The module of that class; a client that does not have it makes a class of that name.
    pub exc_module: String,
    /// The exception's arguments: mostly one text.
    pub exc_message: Vec<Value>,
    /// Where it happened, for people.
    pub traceback: Option<String>,
}

/// The same task once more: what of it is changed, and how often that may be done.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// How long the broker keeps it.
    pub after: Duration,
    /// More retries than this are a failure, in the place of what the task has declared.
    pub max_retries: Option<u32>,
    /// Why it is tried again, which is also its failure when it may not be.
    pub failure: Option<Failure>,
    /// Other positional arguments.
    pub args: Option<Vec<Value>>,
    /// Other named arguments.
    pub kwargs: Option<Map<String, Value>>,
    /// Further headers.
    pub headers: Headers,
    /// Another priority.
    pub priority: Option<u8>,
    /// Another end of its time.
    pub expires: Option<Timestamp>,
}

/// A message that is published, and confirmed, before the task it follows is acknowledged.
#[derive(Debug, Clone, PartialEq)]
pub struct FollowUp {
    /// Where to.
    pub queue: String,
    /// What.
    pub message: Message,
    /// How long the broker keeps it.
    pub after: Duration,
}

impl Failure {
    /// One of Python's own exceptions.
    pub fn new(exc_type: &str, message: impl Into<Value>) -> Self {
        Self::of("builtins", exc_type, vec![message.into()])
    }

    /// An exception of a module, with its arguments.
    pub fn of(exc_module: &str, exc_type: &str, exc_message: Vec<Value>) -> Self {
        let (exc_type, exc_module) = (exc_type.to_owned(), exc_module.to_owned());
        Self { exc_type, exc_module, exc_message, traceback: None }
    }
}

/// As Python shows the exception: `ValueError('no such thing')`.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arguments: Vec<String> = self.exc_message.iter().map(repr).collect();
        write!(f, "{}({})", self.exc_type, arguments.join(", "))
    }
}

/// As a function says it that may fail.
impl From<Result<Value, Failure>> for Outcome {
    fn from(result: Result<Value, Failure>) -> Self {
        result.map_or_else(Self::from, Self::Succeeded)
    }
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        Self::Failed(Box::new(failure))
    }
}

impl Retry {
    /// The same once more, after a while.
    pub fn after(after: Duration) -> Self {
        Self {
            after,
            max_retries: None,
            failure: None,
            args: None,
            kwargs: None,
            headers: Headers::new(),
            priority: None,
            expires: None,
        }
    }
}

impl From<Retry> for Outcome {
    fn from(retry: Retry) -> Self {
        Self::Retry(Box::new(retry))
    }
}
