//! Public stations and member tokens: a member may charge at every public station, without an entry on its list.
//!
//! platform-api maintains both sets and a version, which says up to which change they are complete. All are in one
//! store, so a store that lost changes has lost the version of them, too.

use async_trait::async_trait;
use common::ids::{DriverToken, StationId};

use crate::{Listing, Millis, PageQuery, StoreError};

/// Both sets and their version. Changes are durable when the call returns. Repeating them is safe.
#[async_trait]
pub trait PublicAccess: Send + Sync {
    /// Whether the station is public.
    async fn is_public(&self, station: StationId) -> Result<bool, StoreError>;

    /// Adds and removes public stations, all or none.
    async fn change_stations(
        &self,
        add: &[StationId],
        remove: &[StationId],
    ) -> Result<SetChanged, StoreError>;

    /// A page of the public stations, in the order of their ids.
    async fn stations(&self, query: &PageQuery<'_>) -> Result<Listing<StationId>, StoreError>;

    /// The token's membership, unless it has ended.
    async fn member(&self, token: &DriverToken) -> Result<Option<Member>, StoreError>;

    /// Adds, replaces and removes members, all or none. One whose membership has ended by now is removed.
    async fn change_members(&self, add: &[Member], remove: &[DriverToken]) -> Result<SetChanged, StoreError>;

    /// A page of the members, in the order of their tokens. It may be shorter than `limit` and have a next page.
    async fn members(&self, query: &PageQuery<'_>) -> Result<Listing<Member>, StoreError>;

    /// The version of both sets; `None` if it was never set, or is lost.
    async fn version(&self) -> Result<Option<PlatformVersion>, StoreError>;

    /// Sets or removes the version.
    async fn set_version(&self, version: Option<PlatformVersion>) -> Result<(), StoreError>;
}

/// A token of the platform, which may charge at every public station.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// The driver.
    pub token: DriverToken,
    /// When the membership ends. It no longer holds at that moment.
    pub until: Option<Millis>,
}

/// The result of a change to one of the sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SetChanged {
    /// How many were added, or got another end.
    pub added: u64,
    /// How many were removed.
    pub removed: u64,
}

/// The number of the last change that platform-api has applied: 0 to 2⁶³ − 1, as both databases hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlatformVersion(i64);

impl Member {
    /// Whether the membership has ended.
    pub fn is_over(&self, now: Millis) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

impl PlatformVersion {
    /// The version of this number; `None` if it is too large.
    pub fn new(number: u64) -> Option<Self> {
        i64::try_from(number).ok().map(Self)
    }

    /// Its number.
    pub fn number(self) -> u64 {
        self.0.unsigned_abs()
    }
}
