//! The store in Redis. Every operation touches keys of one slot only, so it also runs on Redis Cluster. Every call has
//! a time limit.

mod access;
mod audit;
mod connections;
mod expiries;
mod groups;
mod index;
mod keys;
mod kv;
mod overdue;
mod public_access;
mod records;
mod schedule;
mod scripts;
mod search;
mod server_role;
mod verdict;

use common::error_chain::BoxError;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue, Pipeline, RedisResult, Value};

use self::connections::Connections;
use self::expiries::Expiries;
pub use self::index::entries;
use self::server_role::ServerRole;
use crate::{StoreError, StoreOptions};

/// The digits of a 64-bit number.
const MAX_NUMBER: usize = 20;

/// At start-up, how long to wait before asking again a server that is not ready.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(200);

pub(crate) struct RedisStore {
    connections: Connections,
    expiries: Expiries,
    options: StoreOptions,
}

impl RedisStore {
    pub(crate) async fn connect(
        url: &str,
        options: StoreOptions,
        limit: Duration,
    ) -> Result<Self, StoreError> {
        let store = Self { connections: Connections::new(url)?, expiries: Expiries::default(), options };
        match tokio::time::timeout(limit, store.until_it_serves()).await {
            Ok(served) => served.map(|()| store),
            Err(_) => store.ping().await.map(|()| store),
        }
    }

    /// Waits until the server is ready. A server of the wrong kind is an error at once.
    async fn until_it_serves(&self) -> Result<(), StoreError> {
        loop {
            match self.ping().await {
                Err(StoreError::Unavailable(_)) => tokio::time::sleep(ASK_AGAIN_AFTER).await,
                answered => return answered,
            }
        }
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.command(&redis::cmd("PING")).await
    }

    /// Runs one command.
    async fn command<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        self.exchange(|mut connection| async move { command.query_async(&mut connection).await }).await
    }

    /// Runs several commands; in one transaction if the pipeline is atomic.
    async fn pipeline<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, StoreError> {
        self.exchange(|mut connection| async move { pipeline.query_async(&mut connection).await }).await
    }

    /// Runs several reads whose answers admit a driver. A check after them proves that the primary answered them all.
    async fn proven(&self, mut pipeline: Pipeline) -> Result<Vec<Value>, StoreError> {
        pipeline.add_command(server_role::ask());
        let pipeline = &pipeline;
        let ask = |mut connection: MultiplexedConnection| async move {
            let mut answers: Vec<Value> = pipeline.query_async(&mut connection).await?;
            let role = answers.pop().unwrap_or(Value::Nil);
            redis::from_redis_value::<ServerRole>(role)?.still_primary()?;
            Ok(answers)
        };
        self.exchange(ask).await
    }

    async fn exchange<T, F, A>(&self, ask: F) -> Result<T, StoreError>
    where
        F: Fn(MultiplexedConnection) -> A,
        A: Future<Output = RedisResult<T>>,
    {
        let mut exchange = self.connections.exchange();
        loop {
            let connection = self.connections.get(&mut exchange).await?;
            match ask(connection).await {
                Ok(value) => return Ok(value),
                Err(error) => {
                    // The next answer may come from another Redis server.
                    self.expiries.forget();
                    self.connections.failed(&mut exchange, &error)?;
                }
            }
        }
    }

    fn key(&self, name: impl std::fmt::Display) -> String {
        format!("{}{name}", self.options.key_prefix)
    }
}

/// A command with capacity for this many arguments and bytes. The commands of every request use it: growing them while
/// they were assembled was most of their cost (measured: 26,000 instructions a request).
fn roomy(name: &str, arguments: usize, bytes: usize) -> Cmd {
    let mut command = Cmd::with_capacity(arguments + 1, name.len() + bytes);
    command.arg(name);
    command
}

fn unavailable(error: impl Into<BoxError>) -> StoreError {
    StoreError::unavailable(error)
}
