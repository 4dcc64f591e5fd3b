//! When entries with a validity period enter their lists and leave them. Several processes may work it off
//! concurrently: a claim by one keeps the others off for a while, and repeating the work is safe.

use std::time::Duration;

use async_trait::async_trait;
use common::ids::{DriverToken, StationId};

use crate::{Millis, StoreError};

/// How long a claim lasts; afterwards the entry is due again.
pub(crate) const LEASE: Duration = Duration::from_secs(10);

/// The moments at which entries begin and end. [`AccessLists`](crate::AccessLists) enters them before it changes a
/// list.
#[async_trait]
pub trait Schedule: Send + Sync {
    /// Claims up to `limit` entries due at `now`.
    async fn claim(&self, now: Millis, limit: u32) -> Result<Claim, StoreError>;

    /// Applies the steps that the claimed entries' validity requires by now, and removes them from the schedule.
    async fn settle(&self, claim: &Claim) -> Result<(), StoreError>;
}

/// The entries that one process has claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The entries.
    pub due: Vec<Due>,
    /// The moment of the claim. Settling uses it too, whatever the clock has done meanwhile.
    pub now: Millis,
}

/// An entry at the start or end of its validity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The station.
    pub station: StationId,
    /// The driver.
    pub token: DriverToken,
    /// The moment that was entered.
    pub moment: Millis,
    /// The step to apply; `None` if the entry has been replaced since.
    pub step: Option<Step>,
}

/// The step at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The driver is added to the set.
    Begin,
    /// The driver is removed from the set.
    End,
}

impl Step {
    /// The step that an entry needs at `now`. `waits` is true until the entry is in the set.
    pub(crate) fn of(period: crate::Period, waits: bool, now: Millis) -> Option<Self> {
        if period.is_over(now) {
            Some(Self::End)
        } else {
            (waits && !period.is_to_come(now)).then_some(Self::Begin)
        }
    }
}
