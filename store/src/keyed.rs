//! Small values under a key that expire: idempotency keys, and what workers tell each other about callback hosts.

use std::time::Duration;

use async_trait::async_trait;

use crate::StoreError;

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

    /// Says whether the backend answers.
    async fn ping(&self) -> Result<(), StoreError>;
}
