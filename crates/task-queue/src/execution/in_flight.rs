//! A task in flight: received, and not settled yet.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

use crate::message::{Message, POSTPONED_UNTIL};
use crate::protocol::TaskRequest;
use crate::task::TaskDeclaration;

/// A task that was received from a queue and is not settled yet.
#[derive(Debug, Clone)]
pub(crate) struct InFlight {
    /// The message as received, if it was of protocol 1.
    pub(crate) original: Arc<Message>,
    /// The decoded request.
    pub(crate) request: Arc<TaskRequest>,
    /// The message, as protocol 2.
    pub(crate) message: Arc<Message>,
    /// The queue it was received from.
    pub(crate) queue: Arc<str>,
    /// How often it was delivered, this delivery included.
    pub(crate) deliveries: u32,
    /// What the task declares; the defaults for an unknown task.
    pub(crate) declared: TaskDeclaration,
    /// Identifies the delivery, and terminates its task.
    pub(crate) ticket: Ticket,
}

/// Identifies one delivery, also among deliveries of the same task, and terminates its task.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ticket {
    pub(super) number: u64,
    /// Cancelled when the task is to be terminated.
    pub(crate) terminate: CancellationToken,
    pub(super) signum: Arc<OnceLock<i32>>,
    acknowledged: Arc<AtomicBool>,
}

impl Ticket {
    pub(super) fn new(number: u64) -> Self {
        Self { number, ..Self::default() }
    }

    /// The signal that would have ended a process.
    pub(crate) fn signum(&self) -> Option<i32> {
        self.signum.get().copied()
    }

    /// Records that the broker will not deliver it again.
    pub(crate) fn acknowledge(&self) {
        self.acknowledged.store(true, Ordering::Relaxed);
    }

    /// Whether it was acknowledged while still in flight.
    pub(crate) fn is_acknowledged(&self) -> bool {
        self.acknowledged.load(Ordering::Relaxed)
    }
}

impl InFlight {
    /// Its id, cut for the log, so that a message of another program cannot fill the log.
    pub(crate) fn id(&self) -> &str {
        cut(&self.request.id)
    }

    /// Its name in events and logs.
    pub(crate) fn name(&self) -> &str {
        cut(self.request.shadow.as_ref().unwrap_or(&self.request.name))
    }

    /// The message to return to the broker until the `eta`.
    pub(super) fn postponed(&self) -> Message {
        let mut later = self.message.without_delivery_headers();
        if let Some(eta) = self.request.eta {
            later.headers.insert(POSTPONED_UNTIL.to_owned(), eta.to_string().into());
        }
        later
    }

    /// Whether a worker returned it to the broker until this `eta`.
    pub(super) fn was_postponed(&self) -> bool {
        let until = self.message.text_header(POSTPONED_UNTIL);
        until.is_some_and(|until| self.request.eta.is_some_and(|eta| eta.to_string() == until))
    }
}

fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(64)).unwrap_or_default()
}
