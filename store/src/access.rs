//! Access lists: which driver tokens may charge at a station.

use async_trait::async_trait;
use common::ids::{DriverToken, StationId};

use crate::StoreError;

/// The lists of all stations. Changes are durable when they return.
#[async_trait]
pub trait AccessLists: Send + Sync {
    /// Whether the driver is on the station's list.
    async fn contains(&self, station: StationId, token: &DriverToken) -> Result<bool, StoreError>;

    /// The same for many pairs at one moment, answered in their order.
    async fn contains_many(&self, pairs: &[(StationId, DriverToken)]) -> Result<Vec<bool>, StoreError>;

    /// Adds the drivers that are not on the list yet.
    async fn add(&self, station: StationId, tokens: &[DriverToken]) -> Result<Added, StoreError>;

    /// Removes a driver, who may not be on it; gives the list's size afterwards.
    async fn remove(&self, station: StationId, token: &DriverToken) -> Result<u64, StoreError>;

    /// One page of the list, of about `limit` drivers, in no particular order. A driver who is on the list the whole
    /// time stands on one page at least.
    async fn page(&self, station: StationId, cursor: Option<&str>, limit: u32) -> Result<Page, StoreError>;
}

/// What adding did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Added {
    /// How many were not on the list before.
    pub added: u64,
    /// The list's size afterwards.
    pub size: u64,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The drivers.
    pub tokens: Vec<DriverToken>,
    /// The size of the whole list.
    pub size: u64,
    /// Where the next page begins; nothing at the end.
    pub next: Option<String>,
}
