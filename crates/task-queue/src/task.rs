//! Tasks: the list of what a worker can run.

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
pub(crate) use shown::ShownArguments;

/// A task that a worker can run.
#[async_trait]
pub trait Task: Send + Sync + 'static {
    /// The name on the wire.
    const NAME: &'static str;
    /// The parameters in order. Arguments are bound to them by position or name, as in Python.
    const PARAMETERS: &'static [&'static str];
    /// Whether the result is dropped, unless the client says otherwise.
    const IGNORE_RESULT: bool = false;
    /// Whether a `STARTED` result is stored when it begins.
    const TRACK_STARTED: bool = false;
    /// Whether it is acknowledged once its effect is durable, so that it runs again after a crash. Otherwise it is
    /// acknowledged when it begins, as by Celery's default, and a crash loses it.
    const ACKS_LATE: bool = true;
    /// How often it may be retried, unless the retry says otherwise. `None` means that the task decides.
    const MAX_RETRIES: Option<u32> = Some(3);
    /// The parameters whose values are hidden in events and in answers to remote control.
    const MASKED: &'static [&'static str] = &[];
    /// Whether the task has to be accounted for when it is revoked or takes too long: it is then abandoned and
    /// dead-lettered with the reason. Other tasks are dropped in that case, as by Celery.
    const ACCOUNTED_FOR: bool = false;
    /// The type that the bound arguments are deserialized into.
    type Args: DeserializeOwned + Send;

    /// Runs the task. It may run again with the same id after a crash, so the second run must do no harm.
    async fn run(&self, args: Self::Args, context: TaskContext) -> Outcome;

    /// Called before the task is dead-lettered for an external reason: it was delivered too often, it panicked, or it
    /// was ended and is [accounted for](Self::ACCOUNTED_FOR).
    async fn abandoned(&self, _args: Self::Args, _context: TaskContext, _letter: &DeadLetter) {}
}

/// The context of a run.
#[derive(Debug, Clone)]
pub struct TaskContext {
    /// The task's id.
    pub id: String,
    /// How often it was retried before.
    pub retries: u32,
    /// How often it was delivered, this delivery included; more than 1 after a crash.
    pub deliveries: u32,
    /// The queue it was consumed from.
    pub queue: Arc<str>,
    /// The request that its message contains.
    pub request: Arc<TaskRequest>,
    /// The message.
    pub message: Arc<Message>,
    /// For publishing further tasks.
    pub broker: Arc<dyn Broker>,
    /// Cancelled when the grace time is over: stop waiting and return [`Outcome::Requeue`].
    pub cancel: CancellationToken,
}

/// What a task declares about itself.
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
    /// For a task that is not registered.
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

/// A task of any type, whose arguments are not bound yet.
#[async_trait]
trait AnyTask: Send + Sync {
    fn declared(&self) -> TaskDeclaration;
    async fn run(&self, context: TaskContext) -> Outcome;
    async fn abandoned(&self, context: TaskContext, letter: &DeadLetter);
}

struct BoundTask<T>(T);

#[async_trait]
impl<T: Task> AnyTask for BoundTask<T> {
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

/// The tasks that a worker has registered.
#[derive(Default)]
pub struct Tasks {
    by_name: HashMap<&'static str, Box<dyn AnyTask>>,
}

/// Two tasks were registered under the same name.
#[derive(Debug, thiserror::Error)]
#[error("two tasks are registered under the name {0}")]
pub struct DuplicateTask(&'static str);

impl Tasks {
    /// Registers a task.
    ///
    /// # Errors
    /// Returns an error if the name is taken.
    pub fn register<T: Task>(mut self, task: T) -> Result<Self, DuplicateTask> {
        match self.by_name.insert(T::NAME, Box::new(BoundTask(task))) {
            None => Ok(self),
            Some(_) => Err(DuplicateTask(T::NAME)),
        }
    }

    /// The names of the tasks, in no particular order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.by_name.keys().copied()
    }

    /// What a task declares; `None` if it is not registered.
    pub fn declared(&self, name: &str) -> Option<TaskDeclaration> {
        self.by_name.get(name).map(|task| task.declared())
    }

    pub(crate) async fn run(&self, context: TaskContext) -> Outcome {
        match self.by_name.get(context.request.name.as_str()) {
            Some(task) => task.run(context).await,
            None => {
                let detail = format!("no task is registered under the name {:.200}", context.request.name);
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

/// Removes the values from serde's message: they may be personal data and may contain quotes. The expected type is
/// enough.
fn without_values(error: &str) -> String {
    if let Some((_, expected)) = error.rsplit_once("`, expected ")
        && error.starts_with("unknown variant `")
    {
        return format!("unknown variant, expected {expected}");
    }
    match (error.split_once('"'), error.rsplit_once('"')) {
        (Some((before, _)), Some((_, after))) => format!("{before}{after}"),
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
