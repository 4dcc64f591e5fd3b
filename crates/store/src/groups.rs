//! Named groups of stations, and the drivers that were admitted to a group.
//!
//! A group grants no access by itself: acl-service applies it to the lists of its stations.

use std::fmt;

use async_trait::async_trait;
use common::ids::{DriverToken, StationId};

use crate::{Entry, Listing, PageQuery, StoreError};

/// All groups. Repeating an operation is safe.
#[async_trait]
pub trait Groups: Send + Sync {
    /// Creates a group. Returns `false` if it exists already; the group is then unchanged.
    async fn create(&self, name: &GroupName) -> Result<bool, StoreError>;

    /// Deletes a group with its stations and drivers. Returns `false` if it does not exist.
    async fn delete(&self, name: &GroupName) -> Result<bool, StoreError>;

    /// The size of a group; `None` if the group does not exist.
    async fn size(&self, name: &GroupName) -> Result<Option<GroupSize>, StoreError>;

    /// A page of the groups' names.
    async fn names(&self, query: &PageQuery<'_>) -> Result<Listing<GroupName>, StoreError>;

    /// Adds a station to the group. Returns `false` if it was a member already.
    async fn join(&self, name: &GroupName, station: StationId) -> Result<bool, StoreError>;

    /// Removes a station from the group. Returns `false` if it was not a member.
    async fn leave(&self, name: &GroupName, station: StationId) -> Result<bool, StoreError>;

    /// A page of the group's stations.
    async fn stations(
        &self,
        name: &GroupName,
        query: &PageQuery<'_>,
    ) -> Result<Listing<StationId>, StoreError>;

    /// Creates or replaces a driver's entry in the group. Returns `true` if there was none.
    async fn put_driver(&self, name: &GroupName, entry: &Entry) -> Result<bool, StoreError>;

    /// Removes a driver from the group. Returns `false` if there was no entry.
    async fn remove_driver(&self, name: &GroupName, token: &DriverToken) -> Result<bool, StoreError>;

    /// A page of the group's drivers.
    async fn drivers(&self, name: &GroupName, query: &PageQuery<'_>) -> Result<Listing<Entry>, StoreError>;

    /// For each of these drivers, in their order, whether it is in the group.
    async fn has_drivers(&self, name: &GroupName, tokens: &[DriverToken]) -> Result<Vec<bool>, StoreError>;
}

/// The number of stations and drivers in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupSize {
    /// Its stations.
    pub stations: u64,
    /// Its drivers.
    pub drivers: u64,
}

/// 1 to 64 characters of `a-z 0-9 -`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupName(String);

/// The text is not a valid group name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 to 64 characters of a-z 0-9 -")]
pub struct MalformedGroupName;

impl GroupName {
    /// Checks length and alphabet.
    ///
    /// # Errors
    /// Returns [`MalformedGroupName`] for any other text.
    pub fn parse(text: &str) -> Result<Self, MalformedGroupName> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let well_formed = (1..=64).contains(&text.len()) && text.bytes().all(fits);
        if well_formed { Ok(Self(text.to_owned())) } else { Err(MalformedGroupName) }
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
