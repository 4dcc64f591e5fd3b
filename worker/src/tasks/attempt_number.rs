//! The number of a delivery attempt, and the start of its window.

use authorization::tasks::deliver_callback::{self, Counting};
use common::clock::Nanos;
use task_queue::{TaskContext, dead_letter};

/// The number of an attempt: in the record, and towards the limit of attempts.
#[derive(Debug, Clone, Copy)]
pub(super) struct AttemptNumber {
    /// Its number in the record, counted from 1 over all attempts.
    pub(super) number: u32,
    /// Its number towards the limit, counted from 1 again after a replay.
    pub(super) counted: u32,
    /// The start of the window that it counts in.
    pub(super) since: Nanos,
    /// Whether a redelivery was requested. If so, a success on record does not end it.
    pub(super) redelivery: bool,
}

/// Whether the task is a redelivery that was requested over the API.
pub(super) fn is_redelivery(context: &TaskContext) -> bool {
    context.message.headers.contains_key(deliver_callback::REDELIVERY_HEADER)
}

impl AttemptNumber {
    /// Attempt `number` to deliver a decision, of a task that may have been replayed. The window begins with the
    /// decision, not with the call: no callback is possible before the decision, and a late decision is `unknown`.
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

    /// The counting that the task of the next attempt carries.
    pub(super) fn counting(self) -> Counting {
        Counting { window_from_ns: self.since, uncounted: self.number.saturating_sub(self.counted) }
    }
}
