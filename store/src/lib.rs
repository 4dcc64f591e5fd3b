//! What Voltgate keeps beside its queue: access lists, decision records, API keys and small keyed state; in Redis, or in a
//! SQLite file. The URL chooses, in [`Store::open`] and nowhere else.

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

/// Everything that is kept, behind whichever backend the URL named.
#[derive(Clone)]
pub struct Store {
    /// Who may charge where. Only acl-service uses it.
    pub access: Arc<dyn AccessLists>,
    /// When entries of those lists begin and end. Only acl-service uses it.
    pub schedule: Arc<dyn Schedule>,
    /// Groups of stations. Only acl-service uses them.
    pub groups: Arc<dyn Groups>,
    /// Who changed the lists. Only acl-service uses it.
    pub audit: Arc<dyn AuditTrail>,
    /// What was decided.
    pub records: Arc<dyn Records>,
    /// Which deliveries have lost their message. Only the worker uses it.
    pub overdue: Arc<dyn OverdueDeliveries>,
    /// Finding what was decided.
    pub search: Arc<dyn Search>,
    /// Small values that expire.
    pub keyed: Arc<dyn KeyedState>,
    /// Who may call the services.
    pub keys: Arc<dyn Keys>,
    /// Of an embedded one.
    database: Option<Database>,
}

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Put before every key.
    pub key_prefix: String,
    /// How long records are kept.
    pub retention: Duration,
}

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL is of no kind that we know.
    #[error("expected redis://… or embedded:DIR")]
    BadUrl,
    /// It cannot be reached, or did not answer in time. Trying again may help.
    #[error("{0}")]
    Unavailable(String),
    /// There is a server of another kind. Trying again does not help.
    #[error("{0}")]
    WrongServer(&'static str),
    /// It holds something that is not ours.
    #[error("{0}")]
    Foreign(String),
    /// The cursor is of no page of this list.
    #[error("expected the `cursor` of the page before")]
    BadCursor,
    /// The embedded one's directory cannot be used.
    #[error(transparent)]
    Directory(#[from] embedded_db::DirectoryError),
}

impl Store {
    /// Opens the store that the URL names, and sees that it answers.
    ///
    /// # Errors
    /// It cannot be reached within `limit`, or refuses.
    pub async fn open(url: &str, options: StoreOptions, limit: Duration) -> Result<Self, StoreError> {
        if let Some(directory) = url.strip_prefix("embedded:") {
            return Ok(Self::embedded(embedded::EmbeddedStore::open(directory.as_ref(), &options)?));
        }
        if url.starts_with("redis://") {
            return Ok(Self::of(redis::RedisStore::connect(url, options, limit).await?));
        }
        Err(StoreError::BadUrl)
    }

    /// The same beside the process that an embedded directory belongs to, for a command that looks after what is in it.
    ///
    /// # Errors
    /// It cannot be reached within `limit`, or refuses.
    pub async fn open_beside(url: &str, options: StoreOptions, limit: Duration) -> Result<Self, StoreError> {
        if let Some(directory) = url.strip_prefix("embedded:") {
            return Ok(Self::embedded(embedded::EmbeddedStore::beside(directory.as_ref(), &options)?));
        }
        Self::open(url, options, limit).await
    }

    /// Finishes what waits and closes the file of an embedded store, for all clones: it is whole from then on, and may be
    /// copied. Of Redis nothing has to be closed.
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
