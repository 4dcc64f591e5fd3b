//! Small values with an expiry: idempotency keys, and the state of callback hosts that workers share.

use std::time::Duration;

use async_trait::async_trait;

use crate::StoreError;

/// The key that [`KeyValue::probe`] writes, and its expiry.
pub(crate) const PROBE: &str = "probe";
pub(crate) const KEPT_FOR: Duration = Duration::from_secs(5);

/// Values that several processes share.
#[async_trait]
pub trait KeyValue: Send + Sync {
    /// Stores the value unless the key exists; returns the existing value if there is one.
    async fn put_if_absent(
        &self,
        key: &str,
        value: &str,
        keep: Duration,
    ) -> Result<Option<String>, StoreError>;

    /// Stores the value, replacing any other.
    async fn put(&self, key: &str, value: &str, keep: Duration) -> Result<(), StoreError>;

    /// The values of these keys, in their order.
    async fn get(&self, keys: &[&str]) -> Result<Vec<Option<String>>, StoreError>;

    /// Removes a value, if there is one.
    async fn remove(&self, key: &str) -> Result<(), StoreError>;

    /// Writes what a process of this kind will write, and removes it again. A store that answers does not necessarily
    /// accept writes: it may be full, be a replica, or deny them to this user.
    async fn probe(&self, writes: Writes) -> Result<(), StoreError>;
}

/// The keys that a process writes, by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    /// Access lists: acl-service.
    AccessLists,
    /// Notes of accepted requests: public-api.
    Notes,
    /// Decision records: the worker.
    Records,
}

impl Writes {
    /// The label in the metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::AccessLists => "access_lists",
            Self::Notes => "notes",
            Self::Records => "records",
        }
    }
}
