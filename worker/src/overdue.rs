//! Finds deliveries whose message was lost, for instance because a delay queue was deleted with its messages. Each is
//! published to its queue again. There it is found to be too late: it becomes undeliverable, with a dead letter,
//! instead of staying `decided`.

use std::time::Duration;

use authorization::AuthorizationQueue;
use authorization::tasks::deliver_callback::{Counting, DeliverCallback};
use common::clock::{self, Nanos};
use common::ids::RequestId;
use service_runtime::trace_context::TraceContext;
use store::{DeliveryState, Millis, Record, Store, StoreError};

const LOOK_EVERY: Duration = Duration::from_secs(10);
/// The maximum number claimed at once. If there are more, the next ones are claimed at once too: most have finished by
/// now and must not pile up.
const AT_ONCE: u32 = 200;
/// How much longer than its window a delivery may take: its last message may have to wait for a worker.
const MIN_MARGIN: Duration = Duration::from_secs(5);
const MAX_MARGIN: Duration = Duration::from_secs(600);

/// When a delivery must have finished whose window ends at this time.
pub(crate) fn over_by(window_end: Nanos, window: Duration) -> Millis {
    window_end.saturating_add(clock::nanos(window.clamp(MIN_MARGIN, MAX_MARGIN))) / 1_000_000
}

/// Checks for overdue deliveries until dropped.
pub(crate) async fn watch(store: &Store, queue: &AuthorizationQueue) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        loop {
            match look(store, queue).await {
                Ok(claimed) if claimed == AT_ONCE as usize => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(%error, "overdue deliveries cannot be claimed");
                    break;
                }
            }
        }
    }
}

/// Handles some overdue deliveries; returns how many were claimed.
async fn look(store: &Store, queue: &AuthorizationQueue) -> Result<usize, StoreError> {
    let claimed = store.overdue().claim_overdue(clock::now() / 1_000_000, AT_ONCE).await?;
    let (count, mut over) = (claimed.len(), Vec::new());
    for request in claimed {
        match store.records().find(request).await? {
            Some(record) if record.delivery == DeliveryState::Pending => {
                take_up(queue, request, record).await;
            }
            // Delivered, undeliverable, or expired.
            _ => over.push(request),
        }
    }
    store.overdue().over(&over).await?;
    Ok(count)
}

/// The delivery stays claimed until its record is final. If it could not be published, it becomes due again.
async fn take_up(queue: &AuthorizationQueue, request: RequestId, record: Record) {
    let counting = Counting { window_from_ns: record.decided.decided_ns, uncounted: 0 };
    let Some(delivery) = DeliverCallback::of(record) else { return };
    match queue.restore(&delivery, counting, &TraceContext::new()).await {
        Ok(()) => tracing::warn!(%request, "the message of a delivery was lost; it was published again"),
        Err(error) => tracing::warn!(%request, %error, "an overdue delivery cannot be published again yet"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_may_outlast_its_window_within_bounds() {
        let end = 1_000_000_000_000;
        for (window, margin_ms) in [(1, 5_000), (60, 60_000), (86_400, 600_000)] {
            assert_eq!(over_by(end, Duration::from_secs(window)), 1_000_000 + margin_ms);
        }
    }
}
