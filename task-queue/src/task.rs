//! Tasks: what a worker can run, in one list, and how a run may end.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
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

type Run = Box<dyn Fn(TaskRequest, TaskContext) -> BoxFuture<'static, Outcome> + Send + Sync>;

/// The tasks that a worker knows.
#[derive(Default)]
pub struct Tasks {
    by_name: HashMap<&'static str, Run>,
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
        let task = Arc::new(task);
        let run: Run = Box::new(move |request, context| {
            let task = Arc::clone(&task);
            Box::pin(async move {
                match arguments::<T>(request) {
                    Ok(args) => task.run(args, context).await,
                    Err(why) => Outcome::Dead(Reason::new("invalid_arguments", why)),
                }
            })
        });
        match self.by_name.insert(T::NAME, run) {
            None => Ok(self),
            Some(_) => Err(DuplicateTask(T::NAME)),
        }
    }

    pub(crate) fn run(&self, request: TaskRequest, context: TaskContext) -> BoxFuture<'static, Outcome> {
        match self.by_name.get(request.name.as_str()) {
            Some(run) => run(request, context),
            None => {
                let reason = Reason::new("unknown_task", format!("no task here is called {}", request.name));
                Box::pin(std::future::ready(Outcome::Dead(reason)))
            }
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
    serde_json::from_value(bound).map_err(|error| error.to_string())
}
