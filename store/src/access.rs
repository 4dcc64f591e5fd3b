//! Access lists: which driver tokens may charge at a station, and from when until when.
//!
//! The set is the truth: a driver is admitted while its token is in it, whoever put it there. An entry with times is put
//! in and taken out by whoever works off the [`Schedule`](crate::Schedule).

use async_trait::async_trait;
use common::ids::{DriverToken, StationId};

use crate::{Period, StoreError};

/// The lists of all stations. Changes are durable when they return.
#[async_trait]
pub trait AccessLists: Send + Sync {
    /// Whether the driver is on the station's list, and its entry is not over.
    async fn contains(&self, station: StationId, token: &DriverToken) -> Result<bool, StoreError>;

    /// The same for many pairs at one moment, answered in their order.
    async fn contains_many(&self, pairs: &[(StationId, DriverToken)]) -> Result<Vec<bool>, StoreError>;

    /// Whether there are such entries, also those that are yet to begin.
    async fn has_entries(&self, pairs: &[(StationId, DriverToken)]) -> Result<Vec<bool>, StoreError>;

    /// Changes one station's list, all or nothing, in this order.
    async fn change(&self, station: StationId, changes: &[Change]) -> Result<Changed, StoreError>;

    /// Changes many lists; gives how many of the changes made a difference. A failure may leave some done, and doing
    /// them again does no harm.
    async fn change_each(&self, changes: &[(StationId, Change)]) -> Result<u64, StoreError>;

    /// One page of who is on the list, of about `limit` entries, in no particular order. An entry that is there the whole
    /// time stands on one page at least. The work for a page is bounded, so that one of a search may be empty and still
    /// have a next one.
    async fn page(&self, station: StationId, query: &PageQuery<'_>) -> Result<Page, StoreError>;

    /// One page of the station's entries with times, also of those that are yet to begin.
    async fn timed(&self, station: StationId, query: &PageQuery<'_>) -> Result<Listing<Entry>, StoreError>;
}

/// A driver's place on a list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The driver.
    pub token: DriverToken,
    /// When it holds.
    pub period: Period,
}

/// What is to become of one driver's entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// This is the entry, whatever there was.
    Admit(Entry),
    /// This is the entry, unless there is one already.
    AdmitIfAbsent(Entry),
    /// No entry.
    Remove(DriverToken),
}

impl Change {
    /// A plain entry.
    pub fn admit(token: DriverToken) -> Self {
        Self::Admit(Entry { token, period: Period::ALWAYS })
    }

    /// Whom it concerns.
    pub fn token(&self) -> &DriverToken {
        match self {
            Self::Admit(entry) | Self::AdmitIfAbsent(entry) => &entry.token,
            Self::Remove(token) => token,
        }
    }

    /// The span of the entry; nothing where one is removed.
    pub fn period(&self) -> Option<Period> {
        match self {
            Self::Admit(entry) | Self::AdmitIfAbsent(entry) => Some(entry.period),
            Self::Remove(_) => None,
        }
    }
}

/// What a change did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changed {
    /// How many entries are not what they were.
    pub changed: u64,
    /// How many drivers are on the list afterwards.
    pub size: u64,
}

/// Which page.
#[derive(Debug, Clone, Copy, Default)]
pub struct PageQuery<'a> {
    /// Where it begins: the `next` of the page before.
    pub cursor: Option<&'a str>,
    /// About how many.
    pub limit: u32,
    /// Only tokens with this part, which is of a token's alphabet.
    pub search: Option<&'a str>,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The drivers on it.
    pub entries: Vec<Entry>,
    /// The size of the whole list.
    pub size: u64,
    /// Where the next page begins; nothing at the end.
    pub next: Option<String>,
}

/// One page of anything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing<T> {
    /// What stands on it.
    pub items: Vec<T>,
    /// Where the next page begins; nothing at the end.
    pub next: Option<String>,
}
