//! The store in Redis. Every command touches one key, so that it runs on Redis Cluster too, and every call has a time limit.

mod access;
mod keyed;
mod records;

use std::time::Duration;

use deadpool_redis::{Connection, Manager, Pool, Runtime, Timeouts};
use redis::AsyncConnectionConfig;

use crate::{StoreError, StoreOptions};

/// Connections of one process. Commands take a fraction of a millisecond, so a few serve many tasks.
const CONNECTIONS: usize = 16;
/// redis 1.x would give up after 500 ms, which one slow `fsync` of the append-only file can take.
const RESPONSE_LIMIT: Duration = Duration::from_secs(2);
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

pub(crate) struct RedisStore {
    pool: Pool,
    options: StoreOptions,
}

impl RedisStore {
    pub(crate) async fn connect(
        url: &str,
        options: StoreOptions,
        limit: Duration,
    ) -> Result<Self, StoreError> {
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(Some(RESPONSE_LIMIT))
            .set_connection_timeout(Some(CONNECT_LIMIT));
        let manager = Manager::new_with_config(url, config).map_err(|_| StoreError::BadUrl)?;
        let timeouts = Timeouts {
            wait: Some(RESPONSE_LIMIT),
            create: Some(CONNECT_LIMIT),
            recycle: Some(RESPONSE_LIMIT),
        };
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS)
            .timeouts(timeouts)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(unavailable)?;
        let store = Self { pool, options };
        match tokio::time::timeout(limit, store.until_it_answers()).await {
            Ok(()) => Ok(store),
            Err(_) => store.ping().await.map(|()| store),
        }
    }

    async fn until_it_answers(&self) {
        while self.ping().await.is_err() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let mut connection = self.connection().await?;
        redis::cmd("PING").query_async::<()>(&mut connection).await.map_err(unavailable)
    }

    async fn connection(&self) -> Result<Connection, StoreError> {
        self.pool.get().await.map_err(unavailable)
    }

    fn key(&self, name: impl std::fmt::Display) -> String {
        format!("{}{name}", self.options.key_prefix)
    }
}

fn unavailable(error: impl std::fmt::Display) -> StoreError {
    StoreError::Unavailable(error.to_string())
}
