//! Small values under a key that expire: idempotency keys, and what workers tell each other about callback hosts.

use std::time::Duration;

use async_trait::async_trait;

use crate::StoreError;

/// What is written by [`KeyedState::probe`], and for how long.
pub(crate) const PROBE: &str = "probe";
pub(crate) const KEPT_FOR: Duration = Duration::from_secs(5);

/// Values that several processes share.
#[async_trait]
pub trait KeyedState: Send + Sync {
    /// Puts a value where there is none; gives the one that was there already.
    async fn put_if_absent(
        &self,
        key: &str,
        value: &str,
        keep: Duration,
    ) -> Result<Option<String>, StoreError>;

    /// Puts a value, whatever was there.
    async fn put(&self, key: &str, value: &str, keep: Duration) -> Result<(), StoreError>;

    /// The values of these keys, in their order.
    async fn get(&self, keys: &[&str]) -> Result<Vec<Option<String>>, StoreError>;

    /// Takes a value away, where there is one.
    async fn remove(&self, key: &str) -> Result<(), StoreError>;

    /// Writes what a process of this kind will write, and lets it go again: that a store answers does not say that it takes
    /// anything. It may be full, a replica, or closed to this user.
    async fn probe(&self, writes: Writes) -> Result<(), StoreError>;
}

/// The keys that a process writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    /// Access lists: acl-service.
    AccessLists,
    /// Notes of accepted requests: public-api.
    Notes,
    /// Decision records: the worker.
    Records,
}
