//! Deliveries that should have ended. Each delivery that waits for another attempt is entered with the moment by which
//! its message must have been taken. If it is still pending then, its message is lost.

use std::time::Duration;

use async_trait::async_trait;
use common::ids::RequestId;

use crate::{Millis, StoreError};

/// How long a claim lasts; afterwards the delivery is due again. It is long because each claim may publish a message
/// for a delivery that is only waiting for a busy worker.
pub(crate) const LEASE: Duration = Duration::from_secs(600);

/// The moments by which deliveries have to end. Several processes may work it off concurrently.
#[async_trait]
pub trait OverdueDeliveries: Send + Sync {
    /// Enters a delivery, or moves it. Call it before publishing the next message, so that no loss goes unnoticed.
    async fn expect(&self, request: RequestId, over_by: Millis) -> Result<(), StoreError>;

    /// Claims up to `limit` deliveries that should have ended by `now`.
    async fn claim_overdue(&self, now: Millis, limit: u32) -> Result<Vec<RequestId>, StoreError>;

    /// Removes deliveries that have ended.
    async fn over(&self, requests: &[RequestId]) -> Result<(), StoreError>;
}

/// The end of a claim made now.
pub(crate) fn lease_end(now: Millis) -> Millis {
    now.saturating_add(u64::try_from(LEASE.as_millis()).unwrap_or(u64::MAX))
}
