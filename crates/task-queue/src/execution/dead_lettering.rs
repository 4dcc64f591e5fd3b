//! Dead-lettering: how a task ends that is not retried. The dead letter must fit into the broker, whatever was wrong
//! with the task.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::metrics::counter;
use serde_json::Value;

use super::in_flight::InFlight;
use super::job::Job;
use super::unacked_delivery::NotAcked;
use crate::broker::{PublishError, TooLarge};
use crate::dead_letter::{self, DeadLetter, DeadReason, DeadReasonCode};
use crate::message::{MAX_HEADERS, Message};
use crate::metrics;
use crate::protocol::TaskRequest;
use crate::task::Failure;

impl Job {
    /// Dead-letters a task whose outcome cannot be published. If it were requeued, it would run again and again. The
    /// tasks that follow from it are not published, because they may be what is too large.
    pub(super) async fn dead_letter_unpublishable(
        &self,
        task: &InFlight,
        error: &PublishError,
    ) -> Result<(), NotAcked> {
        let detail = format!("its outcome cannot be published: {error}");
        let letter = DeadLetter::new(DeadReason::Unpublishable, detail);
        self.notify_abandoned(task, &letter).await;
        self.dead_letter_task(task, &letter).await?;
        Ok(self.lifecycle.failed(task, &letter.as_failure(&task.request)).await?)
    }

    pub(super) async fn dead_letter_task(
        &self,
        task: &InFlight,
        letter: &DeadLetter,
    ) -> Result<(), NotAcked> {
        self.dead_letter([&task.message, &task.original], &task.queue, task.deliveries, letter).await
    }

    /// Publishes the dead letter. If it does not fit into the broker, it is published with fewer headers, and with the
    /// body as it was received.
    pub(super) async fn dead_letter(
        &self,
        [message, original]: [&Message; 2],
        queue: &str,
        deliveries: u32,
        letter: &DeadLetter,
    ) -> Result<(), NotAcked> {
        let id = format!("{:.64}", message.text_header("id").unwrap_or("-"));
        tracing::warn!(id, queue, reason = letter.reason.as_str(), detail = letter.detail, "dead letter");
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let at_ms = u64::try_from(now_ms).unwrap_or(u64::MAX);
        let (mut source, mut room) = (message, MAX_HEADERS);
        loop {
            let dead = dead_letter::annotate(source, room, queue, deliveries, letter, at_ms);
            match self.publish(&dead_letter::queue_of(queue), &dead, Duration::ZERO).await {
                Err(NotAcked::Unpublished(PublishError::TooLarge(TooLarge::Headers { agreed, .. })))
                    if room > agreed / 2 =>
                {
                    room = agreed / 2;
                }
                Err(NotAcked::Unpublished(PublishError::TooLarge(TooLarge::Body(_))))
                    if !std::ptr::eq(source, original) =>
                {
                    source = original;
                }
                published => break published?,
            }
        }
        counter!(metrics::DEAD_LETTERS, "reason" => letter.reason.as_str()).increment(1);
        Ok(())
    }
}

impl DeadLetter {
    /// The result that is stored for a dead-lettered task.
    pub(super) fn as_failure(&self, request: &TaskRequest) -> Failure {
        let arguments = vec![Value::from(self.detail.clone())];
        let DeadReasonCode::Queue(reason) = self.reason else {
            return Failure::of("builtins", "RuntimeError", arguments);
        };
        match reason {
            DeadReason::UnknownTask => {
                Failure::of("celery.exceptions", "NotRegistered", vec![request.name.clone().into()])
            }
            DeadReason::InvalidArguments => Failure::of("builtins", "TypeError", arguments),
            DeadReason::Poison => Failure::of("billiard.exceptions", "WorkerLostError", arguments),
            _ => Failure::of("builtins", "RuntimeError", arguments),
        }
    }
}
