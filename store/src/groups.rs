//! Named groups of stations, and the drivers that were admitted at a group.
//!
//! A group holds no access by itself: acl-service applies it to the lists of its stations.

use std::fmt;

use async_trait::async_trait;
use common::ids::{DriverToken, StationId};

use crate::{Entry, Listing, PageQuery, StoreError};

/// All groups. What is done twice does no harm.
#[async_trait]
pub trait Groups: Send + Sync {
    /// Makes a group; `false` when there is one already, which stays as it is.
    async fn create(&self, name: &GroupName) -> Result<bool, StoreError>;

    /// Forgets a group with its stations and drivers; `false` when there was none.
    async fn delete(&self, name: &GroupName) -> Result<bool, StoreError>;

    /// How large a group is; nothing when there is none of this name.
    async fn size(&self, name: &GroupName) -> Result<Option<GroupSize>, StoreError>;

    /// A page of the groups' names.
    async fn names(&self, query: &PageQuery<'_>) -> Result<Listing<GroupName>, StoreError>;

    /// Takes a station in; `false` when it was in already.
    async fn join(&self, name: &GroupName, station: StationId) -> Result<bool, StoreError>;

    /// Lets a station go; `false` when it was not in.
    async fn leave(&self, name: &GroupName, station: StationId) -> Result<bool, StoreError>;

    /// A page of the group's stations.
    async fn stations(
        &self,
        name: &GroupName,
        query: &PageQuery<'_>,
    ) -> Result<Listing<StationId>, StoreError>;

    /// Keeps a driver's entry with the group, whatever there was; `true` when there was none.
    async fn put_driver(&self, name: &GroupName, entry: &Entry) -> Result<bool, StoreError>;

    /// Removes a driver from the group; `false` when there was none.
    async fn remove_driver(&self, name: &GroupName, token: &DriverToken) -> Result<bool, StoreError>;

    /// A page of the group's drivers.
    async fn drivers(&self, name: &GroupName, query: &PageQuery<'_>) -> Result<Listing<Entry>, StoreError>;

    /// Which of these drivers the group has, in their order.
    async fn has_drivers(&self, name: &GroupName, tokens: &[DriverToken]) -> Result<Vec<bool>, StoreError>;
}

/// How many stations and drivers a group has.
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

/// Why a text is no name of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 to 64 characters of a-z 0-9 -")]
pub struct MalformedGroupName;

impl GroupName {
    /// Checks length and alphabet.
    ///
    /// # Errors
    /// [`MalformedGroupName`] for anything else.
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
