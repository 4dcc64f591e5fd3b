//! When entries with times are to be put into their lists and taken out. Several processes may work it off side by side:
//! what one has claimed the others leave alone for a while, and doing it twice does no harm.

use std::time::Duration;

use async_trait::async_trait;
use common::ids::{DriverToken, StationId};

use crate::{Millis, StoreError};

/// How long what is claimed belongs to the claimer; after that it is due again.
pub(crate) const LEASE: Duration = Duration::from_secs(10);

/// The moments at which entries begin and end. [`AccessLists`](crate::AccessLists) enters them before it changes a list.
#[async_trait]
pub trait Schedule: Send + Sync {
    /// Claims up to `limit` of what is due at `now`.
    async fn claim(&self, now: Millis, limit: u32) -> Result<Claim, StoreError>;

    /// Does what the claimed entries' times ask for, as they stand by now, and takes it off the schedule.
    async fn settle(&self, claim: &Claim) -> Result<(), StoreError>;
}

/// What one process has in hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The entries.
    pub due: Vec<Due>,
    /// The moment that it was claimed at. Settling goes by it too, whatever the clock has done meanwhile.
    pub now: Millis,
}

/// An entry at one of its moments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Whose list.
    pub station: StationId,
    /// The driver.
    pub token: DriverToken,
    /// The moment that was entered.
    pub moment: Millis,
    /// What is to happen; nothing where the entry has been replaced since.
    pub step: Option<Step>,
}

/// What a moment brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The driver is put into the set.
    Begin,
    /// The driver is taken out.
    End,
}

impl Step {
    /// What an entry wants at `now`: `waits` until it has been put into the set.
    pub(crate) fn of(period: crate::Period, waits: bool, now: Millis) -> Option<Self> {
        if period.is_over(now) {
            Some(Self::End)
        } else {
            (waits && !period.is_to_come(now)).then_some(Self::Begin)
        }
    }
}
