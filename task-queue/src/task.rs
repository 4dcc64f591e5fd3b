//! Tasks: what a worker can run, in one list, and how a run may end.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::broker::Broker;
use crate::dead_letter::Reason;
use crate::message::Message;
use crate::protocol::TaskRequest;

/// One kind of task.
#[async_trait]
pub trait Task: Send + Sync + 'static {
    /// The name on the wire.
    const NAME: &'static str;
    /// The parameters in order; arguments are bound to them by place or name, as in Python.
    const PARAMETERS: &'static [&'static str];
    /// The bound arguments.
    type Args: DeserializeOwned + Send;

    /// Does it. May be called again for the same id after a crash, so the second run must not do harm.
    async fn run(&self, args: Self::Args, context: TaskContext) -> Outcome;

    /// Called before it is buried for a reason that is not its own: it was handed out too often, or it panicked.
    async fn given_up(&self, _args: Self::Args, _context: TaskContext, _reason: &Reason) {}
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
    /// The message it came in.
    pub message: Arc<Message>,
    /// To publish further tasks.
    pub broker: Arc<dyn Broker>,
    /// Cancelled when the grace time is over: give up waiting and return [`Outcome::GiveBack`].
    pub give_up: CancellationToken,
}

/// How a run ended. The worker acknowledges only after it has carried this out.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Its effect is durable.
    Done,
    /// The same task again, with the same id, after a while.
    Retry {
        /// How long the broker keeps it.
        after: Duration,
    },
    /// The same task again after a while, without having been tried: its `retries` stay as they are.
    Postpone {
        /// How long the broker keeps it.
        after: Duration,
    },
    /// Its effect is durable up to here, and this message carries on from there.
    Then(Box<FollowUp>),
    /// It will not work however often it is tried.
    Dead(Reason),
    /// Not done; somebody else shall take it at once. For stopping, not for waiting.
    GiveBack,
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

/// A task whose arguments are not bound yet.
#[async_trait]
trait AnyTask: Send + Sync {
    async fn run(&self, request: TaskRequest, context: TaskContext) -> Outcome;
    async fn given_up(&self, request: TaskRequest, context: TaskContext, reason: &Reason);
}

struct Bound<T>(T);

#[async_trait]
impl<T: Task> AnyTask for Bound<T> {
    async fn run(&self, request: TaskRequest, context: TaskContext) -> Outcome {
        match arguments::<T>(request) {
            Ok(args) => self.0.run(args, context).await,
            Err(why) => Outcome::Dead(Reason::new("invalid_arguments", why)),
        }
    }

    async fn given_up(&self, request: TaskRequest, context: TaskContext, reason: &Reason) {
        if let Ok(args) = arguments::<T>(request) {
            self.0.given_up(args, context, reason).await;
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

    pub(crate) async fn run(&self, request: TaskRequest, context: TaskContext) -> Outcome {
        match self.by_name.get(request.name.as_str()) {
            Some(task) => task.run(request, context).await,
            None => {
                let detail = format!("no task here is called {:.200}", request.name);
                Outcome::Dead(Reason::new("unknown_task", detail))
            }
        }
    }

    pub(crate) async fn given_up(&self, request: TaskRequest, context: TaskContext, reason: &Reason) {
        if let Some(task) = self.by_name.get(request.name.as_str()) {
            task.given_up(request, context, reason).await;
        }
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_name.keys()).finish()
    }
}

fn arguments<T: Task>(request: TaskRequest) -> Result<T::Args, String> {
    let bound = request.bind(T::PARAMETERS)?;
    serde_json::from_value(bound).map_err(|error| without_values(&error.to_string()))
}

/// serde quotes what it was given, which may be personal data; what it expected is enough.
fn without_values(error: &str) -> String {
    error.split('"').step_by(2).collect()
}
