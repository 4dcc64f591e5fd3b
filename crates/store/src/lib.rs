//! What Voltgate stores apart from its queue: access lists, decision records, API keys and small key-value state, in
//! Redis or in a SQLite file. The URL selects the backend, in [`Store::open`] and nowhere else.

mod access;
mod attempt_outcome;
mod audit;
pub mod config;
pub mod diagnostics;
mod embedded;
mod groups;
mod kv;
pub mod metrics;
mod overdue;
mod period;
mod public_access;
mod reachability;
mod records;
mod redis;
mod schedule;
mod search;
pub mod settings;

use std::sync::Arc;
use std::time::Duration;

pub use access::{AccessLists, Change, Changed, Entry, Grounds, Listing, Page, PageQuery};
pub use attempt_outcome::AttemptOutcome;
pub use audit::{AuditEntry, AuditFilter, AuditTrail, AuditedChange, Counts, Effect, Stage};
use common::error_chain::BoxError;
use common::key_store::{KeyStore, KeyStoreError};
pub use embedded::STORE_FILE;
use embedded_db::Database;
pub use groups::{GroupName, GroupSize, Groups, MalformedGroupName};
pub use kv::{KeyValue, Writes};
pub use overdue::OverdueDeliveries;
pub use period::{EmptyPeriod, Millis, Period, parse_moment, show_moment};
pub use public_access::{Member, PlatformVersion, PublicAccess, SetChanged};
pub use records::{
    Accepted, Answer, Attempt, DecideOutcome, Decided, DeliveryState, Known, OpenedRecord, Record, RecordKey,
    Records,
};
pub use redis::entries;
pub use schedule::{Claim, Due, Schedule, Step};
pub use search::{Fed, FeedPosition, Filter, Found, NoFeedPosition, NoPlace, Place, Search};

/// All stored data, whichever backend the URL selects. A process takes the view that it needs.
#[derive(Clone)]
pub struct Store {
    access_lists: AccessStore,
    records: Arc<dyn Records>,
    overdue: Arc<dyn OverdueDeliveries>,
    search: Arc<dyn Search>,
    key_values: Arc<dyn KeyValue>,
    keys: Arc<dyn KeyStore>,
    /// The database of an embedded store.
    database: Option<Database>,
}

/// The access lists with everything around them. Only acl-service takes this view: no other process reads or writes them.
#[derive(Clone)]
pub struct AccessStore {
    /// Who may charge where.
    pub lists: Arc<dyn AccessLists>,
    /// When entries of those lists begin and end.
    pub schedule: Arc<dyn Schedule>,
    /// Groups of stations.
    pub groups: Arc<dyn Groups>,
    /// Public stations and member tokens.
    pub public: Arc<dyn PublicAccess>,
    /// The audit trail of list changes.
    pub audit: Arc<dyn AuditTrail>,
    key_values: Arc<dyn KeyValue>,
}

impl AccessStore {
    /// Whether the lists can be changed.
    ///
    /// # Errors
    /// Returns an error if a write fails.
    pub async fn probe(&self) -> Result<(), StoreError> {
        self.key_values.probe(Writes::AccessLists).await
    }
}

/// Options of a store.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The prefix of every key.
    pub key_prefix: String,
    /// How long records are kept.
    pub retention: Duration,
}

/// Why an operation on the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL has an unknown scheme.
    #[error("expected redis://… or embedded:DIR")]
    BadUrl,
    /// The store cannot be reached, or did not answer in time. A retry may help.
    #[error(transparent)]
    Unavailable(BoxError),
    /// The server is of the wrong kind. A retry does not help.
    #[error("{0}")]
    WrongServer(&'static str),
    /// The store holds a value that Voltgate did not write.
    #[error("{0}")]
    Foreign(String),
    /// The cursor belongs to no page of this list.
    #[error("expected the `cursor` of the previous page")]
    BadCursor,
    /// The embedded store's directory cannot be used.
    #[error(transparent)]
    Directory(#[from] embedded_db::DirectoryError),
}

impl StoreError {
    pub(crate) fn unavailable(why: impl Into<BoxError>) -> Self {
        Self::Unavailable(why.into())
    }
}

impl From<StoreError> for KeyStoreError {
    fn from(error: StoreError) -> Self {
        Self(error.into())
    }
}

impl Store {
    /// The access lists, for acl-service.
    pub fn access_lists(&self) -> &AccessStore {
        &self.access_lists
    }

    /// The decision records.
    pub fn records(&self) -> &Arc<dyn Records> {
        &self.records
    }

    /// Deliveries that have lost their message, for the worker.
    pub fn overdue(&self) -> &Arc<dyn OverdueDeliveries> {
        &self.overdue
    }

    /// The search over decision records.
    pub fn search(&self) -> &Arc<dyn Search> {
        &self.search
    }

    /// Small values with an expiry.
    pub fn key_values(&self) -> &Arc<dyn KeyValue> {
        &self.key_values
    }

    /// The API keys of the services' callers.
    pub fn keys(&self) -> &Arc<dyn KeyStore> {
        &self.keys
    }

    /// Opens the store at the URL and checks that it answers.
    ///
    /// # Errors
    /// Returns an error if the store cannot be reached within `limit`, or refuses.
    pub async fn open(url: &str, options: StoreOptions, limit: Duration) -> Result<Self, StoreError> {
        if let Some(directory) = url.strip_prefix("embedded:") {
            return Ok(Self::embedded(embedded::EmbeddedStore::open(directory.as_ref(), &options)?));
        }
        if url.starts_with("redis://") {
            return Ok(Self::of(redis::RedisStore::connect(url, options, limit).await?));
        }
        Err(StoreError::BadUrl)
    }

    /// The same while another process may own the embedded directory, for a command that maintains its data.
    ///
    /// # Errors
    /// Returns an error if the store cannot be reached within `limit`, or refuses.
    pub async fn open_beside(url: &str, options: StoreOptions, limit: Duration) -> Result<Self, StoreError> {
        if let Some(directory) = url.strip_prefix("embedded:") {
            return Ok(Self::embedded(embedded::EmbeddedStore::beside(directory.as_ref(), &options)?));
        }
        Self::open(url, options, limit).await
    }

    /// Finishes pending writes and closes the file of an embedded store, for all clones. From then on the file is
    /// complete and may be copied. Redis needs no closing.
    pub async fn close(&self) {
        if let Some(database) = &self.database {
            database.close().await;
        }
    }

    fn embedded(store: embedded::EmbeddedStore) -> Self {
        let database = Some(store.database().clone());
        Self { database, ..Self::of(store) }
    }

    fn of<S>(store: S) -> Self
    where
        S: AccessLists
            + Schedule
            + Groups
            + PublicAccess
            + AuditTrail
            + Records
            + OverdueDeliveries
            + Search
            + KeyValue
            + KeyStore
            + 'static,
    {
        let store = Arc::new(store);
        let access_lists = AccessStore {
            lists: store.clone(),
            schedule: store.clone(),
            groups: store.clone(),
            public: store.clone(),
            audit: store.clone(),
            key_values: store.clone(),
        };
        Self {
            access_lists,
            records: store.clone(),
            overdue: store.clone(),
            search: store.clone(),
            key_values: store.clone(),
            keys: store,
            database: None,
        }
    }
}
