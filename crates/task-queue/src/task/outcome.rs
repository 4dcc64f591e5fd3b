//! How a run may end: the outcomes that a task can return, and what goes with each.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::dead_letter::DeadLetter;
use crate::message::{Headers, Message};
use crate::protocol::{Signature, repr};
use crate::timestamp::Timestamp;

/// How a run ended. The worker acknowledges the task only after it has carried this out.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Its effect is durable, and there is nothing to return: Python's `None`.
    Done,
    /// Its effect is durable, and this is its result.
    Succeeded(Value),
    /// It failed, and its caller is notified. It is not dead-lettered.
    Failed(Box<Failure>),
    /// Run it again with the same id, after a while.
    Retry(Box<Retry>),
    /// Run it again after a while. It was not attempted, so its `retries` are unchanged.
    Postpone {
        /// How long the broker holds it.
        after: Duration,
    },
    /// Its effect is durable so far, and this message continues from there.
    Then(Box<FollowUp>),
    /// Another task replaces it, under the same id. Its callbacks, errbacks and chain are kept.
    Replaced(Box<Signature>),
    /// It cannot succeed, however often it is retried.
    Dead(DeadLetter),
    /// This worker rejects it: it is requeued or dead-lettered.
    Rejected {
        /// The reason.
        reason: String,
        /// Whether it is requeued.
        requeue: bool,
    },
    /// It stored its own result: nothing further is stored or published.
    Ignored,
    /// It is not to be run any more: its caller is notified, and it is acknowledged.
    Revoked {
        /// Whether it expired. Otherwise it was revoked on request.
        expired: bool,
    },
    /// It is not done, and another worker should take it at once. For shutdown, not for waiting.
    Requeue,
}

/// Why a task failed, as a Python exception that a client can raise again.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// The exception's class, such as `ValueError`.
    pub exc_type: String,
    /// The module of that class. A client without that module creates a class of that name.
    pub exc_module: String,
    /// The exception's arguments, usually one text.
    pub exc_message: Vec<Value>,
    /// The traceback, for people.
    pub traceback: Option<String>,
}

/// The same task again: what is changed, and how often it may be retried.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// How long the broker holds it.
    pub after: Duration,
    /// The limit of retries, beyond which the task fails. It overrides what the task declares.
    pub max_retries: Option<u32>,
    /// Why it is retried. If it may not be retried, this is its failure.
    pub failure: Option<Failure>,
    /// New positional arguments.
    pub args: Option<Vec<Value>>,
    /// New named arguments.
    pub kwargs: Option<Map<String, Value>>,
    /// Further headers.
    pub headers: Headers,
    /// A new priority.
    pub priority: Option<u8>,
    /// A new `expires`.
    pub expires: Option<Timestamp>,
}

/// A message that is published and confirmed before the task it follows is acknowledged.
#[derive(Debug, Clone, PartialEq)]
pub struct FollowUp {
    /// The queue.
    pub queue: String,
    /// The message.
    pub message: Message,
    /// How long the broker holds it.
    pub after: Duration,
}

impl Failure {
    /// One of Python's built-in exceptions.
    pub fn new(exc_type: &str, message: impl Into<Value>) -> Self {
        Self::of("builtins", exc_type, vec![message.into()])
    }

    /// An exception of a module, with its arguments.
    pub fn of(exc_module: &str, exc_type: &str, exc_message: Vec<Value>) -> Self {
        let (exc_type, exc_module) = (exc_type.to_owned(), exc_module.to_owned());
        Self { exc_type, exc_module, exc_message, traceback: None }
    }
}

/// The format of Python's `repr` of an exception: `ValueError('no such thing')`.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arguments: Vec<String> = self.exc_message.iter().map(repr).collect();
        write!(f, "{}({})", self.exc_type, arguments.join(", "))
    }
}

/// For functions that may fail.
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
    /// The same task again after this time, unchanged.
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
