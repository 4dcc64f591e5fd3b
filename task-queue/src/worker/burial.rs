//! The end of a task that is not tried again: its letter, which has to fit into the broker whatever was wrong with the task.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::metrics::counter;
use serde_json::Value;

use super::job::{Job, Undone};
use super::lifecycle::InHand;
use crate::broker::{PublishError, TooLarge};
use crate::dead_letter::{self, Reason, reasons};
use crate::message::{MOST_HEADERS, Message};
use crate::metrics;
use crate::protocol::TaskRequest;
use crate::task::Failure;

impl Job {
    /// Given back, it would run again and again. What follows from it is left out: that may be what is too large.
    pub(super) async fn bury_unpublishable(&self, task: &InHand, error: &PublishError) -> Result<(), Undone> {
        let detail = format!("what follows from it cannot be published: {error}");
        let reason = Reason::new(reasons::UNPUBLISHABLE, detail);
        self.tell_given_up(task, &reason).await;
        self.bury_task(task, &reason).await?;
        Ok(self.lifecycle.failed(task, &reason.as_failure(&task.request)).await?)
    }

    pub(super) async fn bury_task(&self, task: &InHand, reason: &Reason) -> Result<(), Undone> {
        self.bury([&task.message, &task.original], &task.queue, task.deliveries, reason).await
    }

    /// What does not fit into the broker with our notes, or as it was read, is buried with fewer headers, and as it came.
    pub(super) async fn bury(
        &self,
        [message, original]: [&Message; 2],
        queue: &str,
        deliveries: u32,
        reason: &Reason,
    ) -> Result<(), Undone> {
        let id = format!("{:.64}", message.text_header("id").unwrap_or("-"));
        tracing::warn!(id, queue, reason = reason.word, detail = reason.detail, "dead letter");
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let at_ms = u64::try_from(now_ms).unwrap_or(u64::MAX);
        let (mut letter, mut room) = (message, MOST_HEADERS);
        loop {
            let dead = dead_letter::bury(letter, room, queue, deliveries, reason, at_ms);
            match self.publish(&dead_letter::queue_of(queue), &dead, Duration::ZERO).await {
                Err(Undone::Unpublished(PublishError::TooLarge(TooLarge::Headers { agreed, .. })))
                    if room > agreed / 2 =>
                {
                    room = agreed / 2;
                }
                Err(Undone::Unpublished(PublishError::TooLarge(TooLarge::Body(_))))
                    if !std::ptr::eq(letter, original) =>
                {
                    letter = original;
                }
                buried => break buried?,
            }
        }
        counter!(metrics::DEAD_LETTERS, "reason" => reason.word).increment(1);
        Ok(())
    }
}

impl Reason {
    /// What a client that waits for the result is told of a dead letter.
    pub(super) fn as_failure(&self, request: &TaskRequest) -> Failure {
        let told = vec![Value::from(self.detail.clone())];
        match self.word {
            reasons::UNKNOWN_TASK => {
                Failure::of("celery.exceptions", "NotRegistered", vec![request.name.clone().into()])
            }
            reasons::INVALID_ARGUMENTS => Failure::of("builtins", "TypeError", told),
            reasons::POISON => Failure::of("billiard.exceptions", "WorkerLostError", told),
            _ => Failure::of("builtins", "RuntimeError", told),
        }
    }
}
