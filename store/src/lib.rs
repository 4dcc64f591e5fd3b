//! What Voltgate keeps beside its queue: access lists, decision records and small keyed state; in Redis, or in a SQLite
//! file. The URL chooses, in [`Store::open`] and nowhere else.

mod access;
pub mod config;
mod embedded;
pub mod examination;
mod keyed;
mod records;
mod redis;

use std::sync::Arc;
use std::time::Duration;

pub use access::{AccessLists, Added, Page};
pub use keyed::KeyedState;
pub use records::{Attempt, Decided, DeliveryState, Opened, Record, RecordKey, Records};

/// Everything that is kept, behind whichever backend the URL named.
#[derive(Clone)]
pub struct Store {
    /// Who may charge where. Only acl-service uses it.
    pub access: Arc<dyn AccessLists>,
    /// What was decided.
    pub records: Arc<dyn Records>,
    /// Small values that expire.
    pub keyed: Arc<dyn KeyedState>,
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
            let store = Arc::new(embedded::EmbeddedStore::open(directory.as_ref(), &options)?);
            return Ok(Self { access: store.clone(), records: store.clone(), keyed: store });
        }
        if url.starts_with("redis://") {
            let store = Arc::new(redis::RedisStore::connect(url, options, limit).await?);
            return Ok(Self { access: store.clone(), records: store.clone(), keyed: store });
        }
        Err(StoreError::BadUrl)
    }
}
