//! Deliveries that should have ended: each that waits for a further attempt is entered with the moment at which its message must
//! have been taken. One that is found then, still pending, has lost its message.

use std::time::Duration;

use async_trait::async_trait;
use common::ids::RequestId;

use crate::{Millis, StoreError};

/// How long what is claimed belongs to the claimer; after that it is due again. Long, because each claim may publish a message
/// for a delivery that only waits for a busy worker.
pub(crate) const LEASE: Duration = Duration::from_secs(600);

/// When deliveries have to be over. Several processes may work it off side by side.
#[async_trait]
pub trait OverdueDeliveries: Send + Sync {
    /// Enters a delivery, or moves it. Before its next message is published, so that none can be lost unseen.
    async fn expect(&self, request: RequestId, over_by: Millis) -> Result<(), StoreError>;

    /// Claims up to `limit` of those that should be over at `now`.
    async fn claim_overdue(&self, now: Millis, limit: u32) -> Result<Vec<RequestId>, StoreError>;

    /// Takes them off: they are over.
    async fn over(&self, requests: &[RequestId]) -> Result<(), StoreError>;
}

/// The end of a claim made now.
pub(crate) fn lease_end(now: Millis) -> Millis {
    now.saturating_add(u64::try_from(LEASE.as_millis()).unwrap_or(u64::MAX))
}
