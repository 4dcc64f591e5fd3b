//! One delivery in the worker: run the task, carry out its outcome, settle the delivery.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::canvas::{Canvas, Child};
use super::in_flight::InFlight;
use super::lifecycle::{Lifecycle, Revocation};
use super::limits::Limits;
use super::revoked::RevokedTasks;
use super::unacked_delivery::{NotAcked, UnackedDelivery};
use crate::backoff::Backoff;
use crate::broker::{Broker, Delivery, PublishError};
use crate::dead_letter::{self, DeadLetter, DeadReason};
use crate::message::Message;
use crate::protocol::{NotATask, TaskRequest, Timing, protocol1, replaced};
use crate::task::{Failure, Outcome, Retry, TaskContext, TaskDeclaration, Tasks};
use crate::timestamp::Timestamp;

/// A message that was delivered this often and never settled probably kills its worker each time.
const MAX_DELIVERIES: u32 = 5;
/// How long a task may take to handle that it is abandoned.
const NOTIFY_LIMIT: Duration = Duration::from_secs(5);

/// What every job needs.
#[derive(Clone)]
pub(crate) struct Job {
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) tasks: Arc<Tasks>,
    pub(crate) lifecycle: Arc<Lifecycle>,
    pub(crate) canvas: Arc<Canvas>,
    pub(crate) revoked: Arc<RevokedTasks>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) cancel: CancellationToken,
}

/// A delivery whose message was decoded.
pub(super) struct OpenedDelivery {
    delivery: Delivery,
    message: Arc<Message>,
    task: Result<InFlight, NotATask>,
}

impl OpenedDelivery {
    /// Whether settling it no longer has any effect.
    pub(super) fn is_stale(&self) -> bool {
        self.delivery.is_stale()
    }

    /// Waits until it is stale.
    pub(super) async fn stale(&self) {
        self.delivery.stale().await;
    }

    /// The task's name, if the message is a task.
    pub(super) fn name(&self) -> Option<&str> {
        self.task.as_ref().ok().map(|task| task.request.name.as_str())
    }
}

impl Job {
    /// Decodes a message and reports its task as received.
    pub(super) fn open(&self, mut delivery: Delivery) -> OpenedDelivery {
        let original = Arc::new(std::mem::take(&mut delivery.message));
        // If it cannot be upgraded, the original is decoded below, which returns the reason.
        let upgraded = protocol1::upgrade(&original).ok().flatten();
        let message = upgraded.map_or_else(|| Arc::clone(&original), Arc::new);
        let task = TaskRequest::decode(&message).map(|request| InFlight {
            declared: self.tasks.declared(&request.name).unwrap_or(TaskDeclaration::UNKNOWN),
            request: Arc::new(request),
            message: Arc::clone(&message),
            original: Arc::clone(&original),
            queue: Arc::clone(&delivery.queue),
            deliveries: delivery.deliveries,
            ticket: self.lifecycle.registry.ticket(),
        });
        if let Ok(task) = &task {
            self.lifecycle.received(task);
        }
        OpenedDelivery { delivery, message, task }
    }

    /// Requeues a delivery whose task has not begun.
    pub(super) async fn requeue(&self, opened: OpenedDelivery) {
        let _ = opened.delivery.requeue().await;
        if let Ok(task) = &opened.task {
            self.lifecycle.settled(task);
        }
    }

    /// Drops a delivery whose connection is lost. The broker delivers it again.
    pub(super) fn leave(&self, opened: &OpenedDelivery) {
        if let Ok(task) = &opened.task {
            self.lifecycle.settled(task);
        }
    }

    pub(super) async fn handle(self, opened: OpenedDelivery) {
        let OpenedDelivery { delivery, message, task } = opened;
        let mut unacked = UnackedDelivery::new(delivery, &message);
        let done = match &task {
            Ok(task) => match self.perform(task, &mut unacked).await {
                Err(NotAcked::Unpublished(error)) => self.dead_letter_unpublishable(task, &error).await,
                done => done,
            },
            Err(not_a_task) => {
                let letter = not_a_task.clone().into();
                self.dead_letter([&message, &message], &unacked.queue, unacked.deliveries, &letter).await
            }
        };
        unacked.settle(done, &self.broker).await;
        if let Ok(task) = &task {
            self.lifecycle.settled(task);
        }
    }

    async fn perform(&self, task: &InFlight, unacked: &mut UnackedDelivery) -> Result<(), NotAcked> {
        let began = Instant::now();
        let outcome = tokio::select! {
            outcome = self.outcome(task, unacked) => outcome?,
            () = task.ticket.terminate.cancelled() => self.revoke(task).await,
            () = self.cancel.cancelled() => return Err(NotAcked::ShuttingDown),
        };
        self.carry_out(outcome, task, began.elapsed()).await
    }

    async fn outcome(&self, task: &InFlight, unacked: &mut UnackedDelivery) -> Result<Outcome, NotAcked> {
        if task.deliveries > MAX_DELIVERIES {
            let detail = format!("delivered {MAX_DELIVERIES} times and never finished");
            return Ok(self.abandoned(task, DeadLetter::new(DeadReason::Poison, detail)).await);
        }
        if self.revoked.covers(&task.request.id, &task.request.stamps) {
            return Ok(self.revoke(task).await);
        }
        match task.request.timing(Timestamp::now()) {
            Timing::Due => {}
            // The worker does not sleep even for the last moment before the `eta`: slots are for running tasks, and the
            // broker's delay survives a restart.
            Timing::Early(after) => return Ok(Outcome::Postpone { after }),
            Timing::Expired => return Ok(Outcome::Revoked { expired: true }),
        }
        if let Some(why) = task.request.unsupported() {
            return Ok(Outcome::Dead(DeadLetter::new(DeadReason::Unsupported, why)));
        }
        if !task.declared.acks_late {
            unacked.acknowledge_early().await?;
            task.ticket.acknowledge();
        }
        // An unknown task does not begin: its name is arbitrary, and every such name would be counted for ever.
        if self.tasks.declared(&task.request.name).is_some() {
            self.lifecycle.started(task).await?;
        }
        let running = AssertUnwindSafe(self.tasks.run(self.context(task))).catch_unwind();
        let (limit, exception) = self.time_limit(task);
        match tokio::time::timeout(limit, running).await {
            Ok(Ok(outcome)) => Ok(outcome),
            Err(_) => Ok(self.too_slow(task, limit, exception).await),
            Ok(Err(_)) => {
                let detail = format!("the task {} panicked; this is a defect", task.request.name);
                Ok(self.abandoned(task, DeadLetter::new(DeadReason::Panicked, detail)).await)
            }
        }
    }

    /// Remote control revoked it before it began or while it ran.
    async fn revoke(&self, task: &InFlight) -> Outcome {
        if task.declared.accounted_for {
            return self.abandoned(task, DeadLetter::new(DeadReason::Revoked, "it was revoked")).await;
        }
        Outcome::Revoked { expired: false }
    }

    /// How long it may run, and the exception with which it then ends. A future cannot be notified of the soft limit
    /// before the hard one, so the shorter limit ends it.
    fn time_limit(&self, task: &InFlight) -> (Duration, &'static str) {
        let (asked, ordered) = (task.request.time_limit, self.limits.time(&task.request.name));
        let hard = asked.hard.or(ordered.hard).unwrap_or(Duration::MAX);
        let soft = asked.soft.or(ordered.soft).unwrap_or(Duration::MAX);
        if soft < hard { (soft, "SoftTimeLimitExceeded") } else { (hard, "TimeLimitExceeded") }
    }

    async fn too_slow(&self, task: &InFlight, limit: Duration, exception: &str) -> Outcome {
        if task.declared.accounted_for {
            let letter = DeadLetter::new(DeadReason::TimeLimit, format!("it ran for {limit:?}"));
            return self.abandoned(task, letter).await;
        }
        Failure::of("billiard.exceptions", exception, vec![limit.as_secs_f64().into()]).into()
    }

    /// Returns `Ok` once the effect is durable and the delivery may be acknowledged.
    async fn carry_out(&self, outcome: Outcome, task: &InFlight, runtime: Duration) -> Result<(), NotAcked> {
        match outcome {
            Outcome::Done => self.succeeded(task, &Value::Null, runtime).await,
            Outcome::Succeeded(result) => self.succeeded(task, &result, runtime).await,
            Outcome::Then(next) => {
                self.publish(&next.queue, &next.message, next.after).await?;
                self.succeeded(task, &Value::Null, runtime).await
            }
            Outcome::Failed(failure) => self.failed(task, &failure).await,
            Outcome::Retry(retry) => self.retry(task, *retry).await,
            Outcome::Postpone { after } => {
                self.publish(&task.queue, &task.postponed(), after).await?;
                if let Some(eta) = task.request.eta {
                    self.lifecycle.scheduled(task, eta);
                }
                Ok(())
            }
            Outcome::Replaced(by) => match replaced(&task.message, &by) {
                Ok(other) => {
                    self.publish(by.queue().as_deref().unwrap_or(&task.queue), &other, Duration::ZERO).await
                }
                Err(why) => self.failed(task, &Failure::new("ValueError", why)).await,
            },
            Outcome::Dead(letter) => {
                self.dead_letter_task(task, &letter).await?;
                if letter.reason == DeadReason::Revoked.into() {
                    return Ok(self.lifecycle.revoked(task, task.revocation(false)).await?);
                }
                self.failed(task, &letter.as_failure(&task.request)).await
            }
            Outcome::Rejected { reason, requeue } => self.reject(task, reason, requeue).await,
            Outcome::Revoked { expired } => {
                Ok(self.lifecycle.revoked(task, task.revocation(expired)).await?)
            }
            Outcome::Ignored => Ok(()),
            Outcome::Requeue => Err(NotAcked::ShuttingDown),
        }
    }

    /// The tasks that follow are published before the success is stored, so that a client that sees the success can
    /// rely on them.
    async fn succeeded(&self, task: &InFlight, result: &Value, runtime: Duration) -> Result<(), NotAcked> {
        let children = self.canvas.after_success(&task.request, result);
        self.follow(&children).await?;
        let ids: Vec<String> = children.into_iter().map(|child| child.id).collect();
        Ok(self.lifecycle.succeeded(task, result, runtime, &ids).await?)
    }

    async fn failed(&self, task: &InFlight, failure: &Failure) -> Result<(), NotAcked> {
        self.call_errbacks(task, failure).await?;
        Ok(self.lifecycle.failed(task, failure).await?)
    }

    pub(super) async fn follow(&self, children: &[Child]) -> Result<(), NotAcked> {
        for Child { next, .. } in children {
            self.publish(&next.queue, &next.message, next.after).await?;
        }
        Ok(())
    }

    async fn retry(&self, task: &InFlight, retry: Retry) -> Result<(), NotAcked> {
        let most = retry.max_retries.or(task.declared.max_retries);
        if most.is_some_and(|most| task.retries() >= most) {
            let failure = retry.failure.unwrap_or_else(|| task.tried_too_often());
            return self.failed(task, &failure).await;
        }
        let again = retry.apply(task);
        let unnamed = || Failure::of("celery.exceptions", "Retry", vec![Value::from("it asked for it")]);
        // The state RETRY is stored before the message is published: otherwise it could overwrite the outcome of the
        // retry.
        self.lifecycle.retried(task, &retry.failure.unwrap_or_else(unnamed)).await?;
        self.publish(&task.queue, &again, retry.after).await
    }

    async fn reject(&self, task: &InFlight, reason: String, requeue: bool) -> Result<(), NotAcked> {
        let exc_args = vec![Value::from(reason.clone()), Value::from(requeue)];
        let failure = Failure::of("celery.exceptions", "Reject", exc_args);
        if !requeue {
            self.dead_letter_task(task, &DeadLetter::new(DeadReason::Rejected, reason)).await?;
        }
        self.lifecycle.rejected(task, &failure, requeue).await?;
        // As in Celery, a task that was acknowledged before it began cannot be requeued.
        if requeue && !task.ticket.is_acknowledged() { Err(NotAcked::ShuttingDown) } else { Ok(()) }
    }

    pub(super) fn context(&self, task: &InFlight) -> TaskContext {
        TaskContext {
            id: task.request.id.clone(),
            retries: task.request.retries,
            deliveries: task.deliveries,
            queue: Arc::clone(&task.queue),
            request: Arc::clone(&task.request),
            message: Arc::clone(&task.message),
            broker: Arc::clone(&self.broker),
            cancel: self.cancel.clone(),
        }
    }

    /// The notification may fail for the same reason as the task, so it gets one try. The task is dead-lettered in any
    /// case.
    async fn abandoned(&self, task: &InFlight, letter: DeadLetter) -> Outcome {
        self.notify_abandoned(task, &letter).await;
        Outcome::Dead(letter)
    }

    pub(super) async fn notify_abandoned(&self, task: &InFlight, letter: &DeadLetter) {
        let notifying = AssertUnwindSafe(self.tasks.abandoned(self.context(task), letter)).catch_unwind();
        let _ = tokio::time::timeout(NOTIFY_LIMIT, notifying).await;
    }

    /// Publishes until the broker confirms. The time that takes counts towards the delay.
    pub(super) async fn publish(
        &self,
        queue: &str,
        message: &Message,
        delay: Duration,
    ) -> Result<(), NotAcked> {
        let (mut backoff, asked) = (Backoff::of_outcomes(), Instant::now());
        loop {
            match self.broker.publish(queue, message, delay.saturating_sub(asked.elapsed())).await {
                Ok(()) => return Ok(()),
                Err(error @ PublishError::TooLarge(_)) => return Err(NotAcked::Unpublished(error)),
                Err(error) => {
                    tracing::warn!(queue, %error, "an outcome is not confirmed yet; publishing again");
                }
            }
            backoff.wait(&self.cancel).await?;
        }
    }
}

impl InFlight {
    fn revocation(&self, expired: bool) -> Revocation {
        let terminated = self.ticket.terminate.is_cancelled();
        Revocation { terminated, signum: self.ticket.signum(), expired }
    }

    /// Retries since it was published, or replayed from the dead letters.
    fn retries(&self) -> u32 {
        let before = self.message.number_header(dead_letter::REPLAYED_RETRIES).unwrap_or(0);
        self.request.retries.saturating_sub(u32::try_from(before).unwrap_or(u32::MAX))
    }

    fn tried_too_often(&self) -> Failure {
        let text = format!("Can't retry {}[{}]", self.request.name, self.request.id);
        Failure::of("celery.exceptions", "MaxRetriesExceededError", vec![Value::from(text)])
    }
}
