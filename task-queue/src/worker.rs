//! The worker: takes deliveries, runs their tasks side by side, and settles each only after its outcome is durable.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::FutureExt;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::broker::{Broker, BrokerError, Deliveries, Delivery, PublishError, Settled};
use crate::dead_letter::{self, Reason};
use crate::message::Message;
use crate::protocol::TaskRequest;
use crate::task::{Outcome, TaskContext, Tasks};

/// A message that was handed out this often and never settled takes its worker with it each time.
const MOST_DELIVERIES: u32 = 5;
/// Between two tries to publish an outcome while the broker is gone.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// What a worker takes from where.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// The queues, each with how many tasks of it may be in hand at once.
    pub queues: Vec<(String, u16)>,
    /// How long stopping waits for the tasks in hand.
    pub grace: Duration,
}

/// Runs tasks until it is told to stop.
#[derive(Debug)]
pub struct Worker {
    broker: Arc<dyn Broker>,
    tasks: Arc<Tasks>,
    config: WorkerConfig,
}

impl Worker {
    /// A worker for these tasks.
    pub fn new(broker: Arc<dyn Broker>, tasks: Tasks, config: WorkerConfig) -> Self {
        Self { broker, tasks: Arc::new(tasks), config }
    }

    /// Works until `shutdown`, then finishes what is in hand within the grace time and gives the rest back.
    ///
    /// # Errors
    /// A queue cannot be consumed.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), BrokerError> {
        let in_hand = TaskTracker::new();
        let give_up = CancellationToken::new();
        let mut lines = Vec::new();
        for (queue, concurrency) in &self.config.queues {
            let deliveries = self.broker.consume(queue, *concurrency, shutdown.clone()).await?;
            let line = Line {
                broker: Arc::clone(&self.broker),
                tasks: Arc::clone(&self.tasks),
                slots: Arc::new(Semaphore::new(usize::from(*concurrency))),
                shutdown: shutdown.clone(),
                give_up: give_up.clone(),
                in_hand: in_hand.clone(),
            };
            lines.push(line.take_until_stopped(deliveries));
        }
        futures_util::future::join_all(lines).await;
        in_hand.close();
        if tokio::time::timeout(self.config.grace, in_hand.wait()).await.is_err() {
            tracing::warn!(tasks = in_hand.len(), "the grace time is over; giving back what is in hand");
            give_up.cancel();
            let _ = tokio::time::timeout(Duration::from_secs(1), in_hand.wait()).await;
        }
        Ok(())
    }
}

/// One queue's way through the worker.
struct Line {
    broker: Arc<dyn Broker>,
    tasks: Arc<Tasks>,
    /// The prefetch bounds what one connection hands out; after a reconnect, tasks of the old one are still in hand.
    slots: Arc<Semaphore>,
    shutdown: CancellationToken,
    give_up: CancellationToken,
    in_hand: TaskTracker,
}

impl Line {
    async fn take_until_stopped(self, mut deliveries: Deliveries) {
        while let Some(delivery) = deliveries.recv().await {
            let slot = tokio::select! {
                slot = Arc::clone(&self.slots).acquire_owned() => slot.ok(),
                () = self.shutdown.cancelled() => None,
            };
            let Some(slot) = slot.filter(|_| !self.shutdown.is_cancelled()) else {
                let _ = delivery.give_back().await;
                continue;
            };
            // Its connection may have gone while it waited for a slot; then it comes again, and once is enough.
            if delivery.is_stale() {
                continue;
            }
            let job = Job {
                broker: Arc::clone(&self.broker),
                tasks: Arc::clone(&self.tasks),
                give_up: self.give_up.clone(),
            };
            self.in_hand.spawn(async move {
                job.handle(delivery).await;
                drop(slot);
            });
        }
    }
}

/// One delivery's way through the worker.
struct Job {
    broker: Arc<dyn Broker>,
    tasks: Arc<Tasks>,
    give_up: CancellationToken,
}

impl Job {
    async fn handle(self, mut delivery: Delivery) {
        let message = Arc::new(std::mem::take(&mut delivery.message));
        // For the log, so that a foreign message cannot fill it.
        let id = format!("{:.64}", message.text_header("id").unwrap_or("-"));
        let outcome = tokio::select! {
            outcome = self.outcome(&delivery, &message) => outcome,
            () = self.give_up.cancelled() => Outcome::GiveBack,
        };
        let effect = match outcome {
            Outcome::Done => Ok(true),
            Outcome::GiveBack => Ok(false),
            Outcome::Retry { after } => self.publish(&delivery.queue, &again(&message), after).await,
            Outcome::Postpone { after } => {
                self.publish(&delivery.queue, &message.without_broker_headers(), after).await
            }
            Outcome::Then(next) => self.publish(&next.queue, &next.message, next.after).await,
            Outcome::Dead(reason) => self.bury(&delivery, &message, &id, &reason).await,
        };
        let settled = match effect {
            Ok(true) => delivery.ack().await,
            Ok(false) => delivery.give_back().await,
            Err(error) => {
                tracing::error!(id, %error, "the outcome could not be published; the task comes again");
                delivery.give_back().await
            }
        };
        match settled {
            Ok(Settled::Done) => {}
            Ok(Settled::Stale) => tracing::info!(id, "its connection is gone; the task comes again"),
            Err(error) => tracing::warn!(id, %error, "the task could not be settled; it comes again"),
        }
    }

    async fn outcome(&self, delivery: &Delivery, message: &Arc<Message>) -> Outcome {
        let request = match TaskRequest::decode(message) {
            Ok(request) => request,
            Err(not_a_task) => return Outcome::Dead(not_a_task.into()),
        };
        if delivery.deliveries > MOST_DELIVERIES {
            let detail = format!("handed out {MOST_DELIVERIES} times and never finished");
            return self.given_up(request, delivery, message, Reason::new("poison", detail)).await;
        }
        let context = self.context(&request, delivery, message);
        match AssertUnwindSafe(self.tasks.run(request, context)).catch_unwind().await {
            Ok(outcome) => outcome,
            Err(_) => match TaskRequest::decode(message) {
                Ok(request) => {
                    let detail = format!("the task {} panicked; this is a defect", request.name);
                    self.given_up(request, delivery, message, Reason::new("panicked", detail)).await
                }
                Err(not_a_task) => Outcome::Dead(not_a_task.into()),
            },
        }
    }

    fn context(&self, request: &TaskRequest, delivery: &Delivery, message: &Arc<Message>) -> TaskContext {
        TaskContext {
            id: request.id.clone(),
            retries: request.retries,
            deliveries: delivery.deliveries,
            queue: Arc::clone(&delivery.queue),
            message: Arc::clone(message),
            broker: Arc::clone(&self.broker),
            give_up: self.give_up.clone(),
        }
    }

    /// What made the task unfit may make telling it unfit too: it gets one try, and the letter is buried all the same.
    async fn given_up(
        &self,
        request: TaskRequest,
        delivery: &Delivery,
        message: &Arc<Message>,
        reason: Reason,
    ) -> Outcome {
        let context = self.context(&request, delivery, message);
        let telling = AssertUnwindSafe(self.tasks.given_up(request, context, &reason)).catch_unwind();
        let _ = tokio::time::timeout(LONGEST_WAIT, telling).await;
        Outcome::Dead(reason)
    }

    async fn bury(
        &self,
        delivery: &Delivery,
        message: &Message,
        id: &str,
        reason: &Reason,
    ) -> Result<bool, PublishError> {
        tracing::warn!(id, queue = %delivery.queue, reason = reason.word, detail = reason.detail, "dead letter");
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let at_ms = u64::try_from(now_ms).unwrap_or(u64::MAX);
        let dead = dead_letter::bury(message, &delivery.queue, delivery.deliveries, reason, at_ms);
        self.publish(&dead_letter::queue_of(&delivery.queue), &dead, Duration::ZERO).await
    }

    /// Publishes until the broker confirms. `Ok(false)` when the worker has to leave before that.
    async fn publish(&self, queue: &str, message: &Message, delay: Duration) -> Result<bool, PublishError> {
        let mut wait = FIRST_WAIT;
        loop {
            match self.broker.publish(queue, message, delay).await {
                Ok(()) => return Ok(true),
                Err(error @ PublishError::TooLarge) => return Err(error),
                Err(error) => {
                    tracing::warn!(queue, %error, "an outcome is not confirmed yet; publishing again");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.give_up.cancelled() => return Ok(false),
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }
}

/// The same task once more, as Celery publishes a retry: the same id, one more in `retries`, itself as its parent.
fn again(message: &Message) -> Message {
    let mut again = message.without_broker_headers();
    let retries = again.number_header("retries").unwrap_or(0).saturating_add(1);
    again.headers.insert("retries".to_owned(), retries.into());
    if let Some(id) = again.headers.get("id").cloned() {
        again.headers.insert("parent_id".to_owned(), id);
    }
    again
}
