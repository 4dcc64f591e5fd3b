//! What Voltgate stores apart from its queue: access lists, decision records, API keys and small key-value state, in
//! Redis or in a SQLite file. The URL selects the backend, in [`Store::open`] and nowhere else.

mod access;
mod attempt_outcome;
mod audit;
pub mod config;
mod embedded;
pub mod examination;
mod groups;
mod keyed;
mod keys;
mod overdue;
mod period;
mod records;
mod redis;
mod schedule;
mod search;

use std::sync::Arc;
use std::time::Duration;

pub use access::{AccessLists, Change, Changed, Entry, Listing, Page, PageQuery};
pub use attempt_outcome::AttemptOutcome;
pub use audit::{AuditEntry, AuditFilter, AuditTrail, AuditedChange, Counts, Effect, Stage};
pub use embedded::STORE_FILE;
use embedded_db::Database;
pub use groups::{GroupName, GroupSize, Groups, MalformedGroupName};
pub use keyed::{KeyedState, Writes};
pub use keys::{KeyRecord, Keys};
pub use overdue::OverdueDeliveries;
pub use period::{EmptyPeriod, Millis, Period};
pub use records::{
    Accepted, Attempt, Decided, DeliveryState, Held, Known, Opened, Record, RecordKey, Records,
};
pub use redis::entries;
pub use schedule::{Claim, Due, Schedule, Step};
pub use search::{Fed, FeedPosition, Filter, Found, NoFeedPosition, NoPlace, Place, Search};

/// All stored data, whichever backend the URL selects.
#[derive(Clone)]
pub struct Store {
    /// Who may charge where. Only acl-service uses it.
    pub access: Arc<dyn AccessLists>,
    /// When entries of those lists begin and end. Only acl-service uses it.
    pub schedule: Arc<dyn Schedule>,
    /// Groups of stations. Only acl-service uses them.
    pub groups: Arc<dyn Groups>,
    /// The audit trail of list changes. Only acl-service uses it.
    pub audit: Arc<dyn AuditTrail>,
    /// The decision records.
    pub records: Arc<dyn Records>,
    /// Deliveries that have lost their message. Only the worker uses it.
    pub overdue: Arc<dyn OverdueDeliveries>,
    /// The search over decision records.
    pub search: Arc<dyn Search>,
    /// Small values with an expiry.
    pub keyed: Arc<dyn KeyedState>,
    /// The API keys of the services' callers.
    pub keys: Arc<dyn Keys>,
    /// The database of an embedded store.
    database: Option<Database>,
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
    #[error("{0}")]
    Unavailable(String),
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

impl Store {
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
            + AuditTrail
            + Records
            + OverdueDeliveries
            + Search
            + KeyedState
            + Keys
            + 'static,
    {
        let store = Arc::new(store);
        Self {
            access: store.clone(),
            schedule: store.clone(),
            groups: store.clone(),
            audit: store.clone(),
            records: store.clone(),
            overdue: store.clone(),
            search: store.clone(),
            keyed: store.clone(),
            keys: store,
            database: None,
        }
    }
}
