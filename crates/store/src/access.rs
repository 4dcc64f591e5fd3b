//! Access lists: which driver tokens may charge at a station, and from when until when.
//!
//! The set is authoritative: a driver is admitted while its token is in the set, whichever program added it. A process
//! that works off the [`Schedule`](crate::Schedule) adds and removes the entries that have a validity period.

use async_trait::async_trait;
use common::ids::{DriverToken, StationId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{Period, StoreError};

/// The lists of all stations. Changes are durable when the call returns.
#[async_trait]
pub trait AccessLists: Send + Sync {
    /// Why the driver may charge at the station now; `None` if it may not. The driver needs an entry that has not ended
    /// on the station's list, or a membership of [`PublicAccess`](crate::PublicAccess) where the station is public.
    async fn check(&self, station: StationId, token: &DriverToken) -> Result<Option<Grounds>, StoreError>;

    /// The same for many pairs at one moment. Answers come in the order of the pairs.
    async fn check_many(
        &self,
        pairs: &[(StationId, DriverToken)],
    ) -> Result<Vec<Option<Grounds>>, StoreError>;

    /// Whether these entries exist. Entries that have yet to begin count.
    async fn has_entries(&self, pairs: &[(StationId, DriverToken)]) -> Result<Vec<bool>, StoreError>;

    /// Applies the changes to one station's list in this order, all or none.
    async fn change(&self, station: StationId, changes: &[Change]) -> Result<Changed, StoreError>;

    /// Changes many lists; returns how many of the changes had an effect. A failure may leave some of them applied.
    /// Repeating them is safe.
    async fn change_each(&self, changes: &[(StationId, Change)]) -> Result<u64, StoreError>;

    /// One page of the list, of about `limit` entries, in no particular order. An entry that exists during the whole
    /// listing appears on at least one page. The work for a page is bounded, so a page of a search may be empty and
    /// still have a next page.
    async fn page(&self, station: StationId, query: &PageQuery<'_>) -> Result<Page, StoreError>;

    /// One page of the station's entries that have a validity period, including those that have yet to begin.
    async fn timed(&self, station: StationId, query: &PageQuery<'_>) -> Result<Listing<Entry>, StoreError>;
}

/// Why a driver may charge at a station.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Grounds {
    /// The driver is on the station's list.
    List,
    /// The station is public, and the token a member.
    Public,
}

/// One driver's entry on a list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The driver.
    pub token: DriverToken,
    /// The entry's validity period.
    pub period: Period,
}

/// A change to one driver's entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Creates or replaces the entry.
    Admit(Entry),
    /// Creates the entry unless one exists.
    AdmitIfAbsent(Entry),
    /// Removes the entry.
    Remove(DriverToken),
}

impl Change {
    /// Admits a driver without a validity period.
    pub fn admit(token: DriverToken) -> Self {
        Self::Admit(Entry { token, period: Period::ALWAYS })
    }

    /// The driver concerned.
    pub fn token(&self) -> &DriverToken {
        match self {
            Self::Admit(entry) | Self::AdmitIfAbsent(entry) => &entry.token,
            Self::Remove(token) => token,
        }
    }

    /// The entry's validity period; `None` for a removal.
    pub fn period(&self) -> Option<Period> {
        match self {
            Self::Admit(entry) | Self::AdmitIfAbsent(entry) => Some(entry.period),
            Self::Remove(_) => None,
        }
    }
}

/// The result of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changed {
    /// How many entries changed.
    pub changed: u64,
    /// How many drivers are on the list afterwards.
    pub size: u64,
}

/// Selects a page.
#[derive(Debug, Clone, Copy, Default)]
pub struct PageQuery<'a> {
    /// The `next` of the previous page.
    pub cursor: Option<&'a str>,
    /// Approximate number of entries.
    pub limit: u32,
    /// Only tokens that contain this text, which uses a token's alphabet.
    pub search: Option<&'a str>,
}

/// One page of an access list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The entries on it.
    pub entries: Vec<Entry>,
    /// The size of the whole list.
    pub size: u64,
    /// The cursor of the next page; `None` at the end.
    pub next: Option<String>,
}

/// One page of another list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing<T> {
    /// The items on it.
    pub items: Vec<T>,
    /// The cursor of the next page; `None` at the end.
    pub next: Option<String>,
}
