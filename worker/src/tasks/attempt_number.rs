//! Which attempt to deliver a decision this is, and when its window began.

use authorization::tasks::deliver_callback::{self, Counting};
use common::clock::Nanos;
use task_queue::{TaskContext, dead_letter};

/// The number of an attempt: in the record, and towards the limit of attempts.
#[derive(Debug, Clone, Copy)]
pub(super) struct AttemptNumber {
    /// Of all attempts, from 1: its number in the record.
    pub(super) number: u32,
    /// Of those that count towards the limit, from 1: a replay starts again.
    pub(super) counted: u32,
    /// When the window began that it counts in.
    pub(super) since: Nanos,
    /// A redelivery was requested: what is on record does not end it.
    pub(super) redelivery: bool,
}

/// Whether the task is a redelivery that was requested over the API.
pub(super) fn is_redelivery(context: &TaskContext) -> bool {
    context.message.headers.contains_key(deliver_callback::REDELIVERY_HEADER)
}

impl AttemptNumber {
    /// The `number`-th attempt to deliver a decision, of a task that may have been replayed. The window begins with the
    /// decision, not with the call: no callback is possible before it, and a late decision is `unknown`.
    pub(super) fn new(number: u32, decided: Nanos, context: &TaskContext) -> Self {
        let header = |name: &str| context.message.number_header(name);
        let narrow = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        let since = header(deliver_callback::WINDOW_FROM_HEADER).unwrap_or(decided);
        let uncounted = narrow(header(deliver_callback::UNCOUNTED_HEADER).unwrap_or(0));
        let replayed = header(dead_letter::REPLAYED_AT).unwrap_or(0).saturating_mul(1_000_000);
        let redelivery = is_redelivery(context);
        if replayed <= since {
            return Self { number, counted: number.saturating_sub(uncounted).max(1), since, redelivery };
        }
        let before = narrow(header(dead_letter::REPLAYED_RETRIES).unwrap_or(0));
        let counted = context.retries.saturating_sub(before).saturating_add(1);
        Self { number, counted, since: replayed, redelivery }
    }

    /// What the task of the next attempt has to carry.
    pub(super) fn counting(self) -> Counting {
        Counting { window_from_ns: self.since, uncounted: self.number.saturating_sub(self.counted) }
    }
}
