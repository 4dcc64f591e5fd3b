//! Tasks: what a worker can run, in one list.

mod outcome;
mod shown;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::broker::Broker;
use crate::dead_letter::{DeadLetter, DeadReason};
use crate::message::Message;
use crate::protocol::TaskRequest;
pub use outcome::{Failure, FollowUp, Outcome, Retry};
pub(crate) use shown::Shown;

/// One kind of task.
#[async_trait]
pub trait Task: Send + Sync + 'static {
    /// The name on the wire.
    const NAME: &'static str;
    /// The parameters in order; arguments are bound to them by place or name, as in Python.
    const PARAMETERS: &'static [&'static str];
    /// Whether nobody wants its result, where the client does not say.
    const IGNORE_RESULT: bool = false;
    /// Whether somebody who waits for the result is told that it has begun.
    const TRACK_STARTED: bool = false;
    /// Whether it is acknowledged once its effect is durable, so that it runs again after a crash. Otherwise it is
    /// acknowledged when it begins, as Celery does unless it is told, and a crash loses it.
    const ACKS_LATE: bool = true;
    /// How often it may be retried, where the retry does not say; without a limit, it is up to the task.
    const MAX_RETRIES: Option<u32> = Some(3);
    /// The parameters whose values nobody may see: not in an event, and not in an answer to remote control.
    const MASKED: &'static [&'static str] = &[];
    /// Whether an end that is not its own, because it is revoked or takes too long, has to be accounted for: it is then
    /// given up and dead-lettered with the reason. Celery, and everything else here, just drops such a task.
    const ACCOUNTED_FOR: bool = false;
    /// The bound arguments.
    type Args: DeserializeOwned + Send;

    /// Does it. May be called again for the same id after a crash, so the second run must not do harm.
    async fn run(&self, args: Self::Args, context: TaskContext) -> Outcome;

    /// Called before it is dead-lettered for a reason that is not its own: it was handed out too often, it panicked, or it was
    /// ended and is [accounted for](Self::ACCOUNTED_FOR).
    async fn abandoned(&self, _args: Self::Args, _context: TaskContext, _letter: &DeadLetter) {}
}

/// What a run knows beside its arguments.
#[derive(Debug, Clone)]
pub struct TaskContext {
    /// The task's id.
    pub id: String,
    /// How often it was published again already.
    pub retries: u32,
    /// How often it was handed out, this time included; more than 1 after a crash.
    pub deliveries: u32,
    /// The queue it came from.
    pub queue: Arc<str>,
    /// What the message says of it.
    pub request: Arc<TaskRequest>,
    /// The message it came in.
    pub message: Arc<Message>,
    /// To publish further tasks.
    pub broker: Arc<dyn Broker>,
    /// Cancelled when the grace time is over: give up waiting and return [`Outcome::Requeue`].
    pub cancel: CancellationToken,
}

/// What a task has declared of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskDeclaration {
    /// [`Task::PARAMETERS`].
    pub parameters: &'static [&'static str],
    /// [`Task::IGNORE_RESULT`].
    pub ignore_result: bool,
    /// [`Task::TRACK_STARTED`].
    pub track_started: bool,
    /// [`Task::ACKS_LATE`].
    pub acks_late: bool,
    /// [`Task::MAX_RETRIES`].
    pub max_retries: Option<u32>,
    /// [`Task::MASKED`].
    pub masked: &'static [&'static str],
    /// [`Task::ACCOUNTED_FOR`].
    pub accounted_for: bool,
}

impl TaskDeclaration {
    /// Of a task that is not in the list.
    pub(crate) const UNKNOWN: Self = Self {
        parameters: &[],
        ignore_result: false,
        track_started: false,
        acks_late: true,
        max_retries: Some(0),
        masked: &[],
        accounted_for: false,
    };
}

/// A task whose arguments are not bound yet.
#[async_trait]
trait AnyTask: Send + Sync {
    fn declared(&self) -> TaskDeclaration;
    async fn run(&self, context: TaskContext) -> Outcome;
    async fn abandoned(&self, context: TaskContext, letter: &DeadLetter);
}

struct Bound<T>(T);

#[async_trait]
impl<T: Task> AnyTask for Bound<T> {
    fn declared(&self) -> TaskDeclaration {
        TaskDeclaration {
            parameters: T::PARAMETERS,
            ignore_result: T::IGNORE_RESULT,
            track_started: T::TRACK_STARTED,
            acks_late: T::ACKS_LATE,
            max_retries: T::MAX_RETRIES,
            masked: T::MASKED,
            accounted_for: T::ACCOUNTED_FOR,
        }
    }

    async fn run(&self, context: TaskContext) -> Outcome {
        match arguments::<T>(&context.request) {
            Ok(args) => self.0.run(args, context).await,
            Err(why) => Outcome::Dead(DeadLetter::new(DeadReason::InvalidArguments, why)),
        }
    }

    async fn abandoned(&self, context: TaskContext, letter: &DeadLetter) {
        if let Ok(args) = arguments::<T>(&context.request) {
            self.0.abandoned(args, context, letter).await;
        }
    }
}

/// The tasks that a worker knows.
#[derive(Default)]
pub struct Tasks {
    by_name: HashMap<&'static str, Box<dyn AnyTask>>,
}

/// Two tasks of one name: a mistake in the list.
#[derive(Debug, thiserror::Error)]
#[error("two tasks are called {0}")]
pub struct DuplicateTask(&'static str);

impl Tasks {
    /// Adds a task to the list.
    ///
    /// # Errors
    /// There is one of that name already.
    pub fn register<T: Task>(mut self, task: T) -> Result<Self, DuplicateTask> {
        match self.by_name.insert(T::NAME, Box::new(Bound(task))) {
            None => Ok(self),
            Some(_) => Err(DuplicateTask(T::NAME)),
        }
    }

    /// Their names, in no order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.by_name.keys().copied()
    }

    /// What a task has declared; nothing for one that is not in the list.
    pub fn declared(&self, name: &str) -> Option<TaskDeclaration> {
        self.by_name.get(name).map(|task| task.declared())
    }

    pub(crate) async fn run(&self, context: TaskContext) -> Outcome {
        match self.by_name.get(context.request.name.as_str()) {
            Some(task) => task.run(context).await,
            None => {
                let detail = format!("no task here is called {:.200}", context.request.name);
                Outcome::Dead(DeadLetter::new(DeadReason::UnknownTask, detail))
            }
        }
    }

    pub(crate) async fn abandoned(&self, context: TaskContext, letter: &DeadLetter) {
        if let Some(task) = self.by_name.get(context.request.name.as_str()) {
            task.abandoned(context, letter).await;
        }
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_name.keys()).finish()
    }
}

fn arguments<T: Task>(request: &TaskRequest) -> Result<T::Args, String> {
    let bound = request.bind(T::PARAMETERS)?;
    serde_json::from_value(bound).map_err(|error| without_values(&error.to_string()))
}

/// serde quotes what it was given, which may be personal data and hold quotes of its own; what it expected is enough.
fn without_values(error: &str) -> String {
    if let Some((_, expected)) = error.rsplit_once("`, expected ")
        && error.starts_with("unknown variant `")
    {
        return format!("unknown variant, expected {expected}");
    }
    match (error.split_once('"'), error.rsplit_once('"')) {
        (Some((before, _)), Some((_, behind))) => format!("{before}{behind}"),
        _ => error.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde::de::IntoDeserializer;
    use serde::de::value::Error;
    use serde::{Deserialize, de};

    use super::*;

    #[derive(Debug, Deserialize)]
    enum Kind {
        A,
        B,
    }

    #[test]
    fn what_is_wrong_with_an_argument_is_said_without_its_value() {
        for value in ["s3cret", "a\"s3cret\"b", "a`, expected `s3cret`", "\"s3cret", "`s3cret`"] {
            let number = u64::deserialize(IntoDeserializer::<Error>::into_deserializer(value)).unwrap_err();
            let variant = Kind::deserialize(IntoDeserializer::<Error>::into_deserializer(value)).unwrap_err();
            let json = serde_json::from_value::<u64>(value.into()).unwrap_err().to_string();
            let invalid: Error = de::Error::invalid_value(de::Unexpected::Str(value), &"a moment");
            for error in [number.to_string(), variant.to_string(), json, invalid.to_string()] {
                let said = without_values(&error);
                assert!(!said.contains("s3cret") && said.contains("expected"), "{error}: {said}");
            }
        }
    }
}
