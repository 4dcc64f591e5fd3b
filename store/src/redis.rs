//! The store in Redis. What is done at once touches keys of one slot, so that it runs on Redis Cluster too, and every call has
//! a time limit.

mod access;
mod audit;
mod expiries;
mod groups;
mod index;
mod keyed;
mod keys;
mod records;
mod schedule;
mod scripts;
mod search;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use deadpool_redis::{Manager, Pool, Runtime, Timeouts};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, FromRedisValue, Pipeline, RedisError};

use self::expiries::Expiries;
pub use self::index::entries;
use self::scripts::Scripts;
use crate::{StoreError, StoreOptions};

/// Connections of one process. Each carries the commands of many tasks at once, so that they share one write and one
/// `fsync` of the append-only file; one command a connection made tasks wait for a free one (measured: with
/// `appendfsync always` on a busy disk half of the decisions came too late).
const LANES: usize = 4;
/// redis 1.x would give up after 500 ms, which one slow `fsync` of the append-only file can take.
const RESPONSE_LIMIT: Duration = Duration::from_secs(2);
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// What Redis answers when somebody has flushed the scripts, which are loaded once a connection.
const UNLOADED: &str = "NOSCRIPT";
/// The digits of a number of 64 bits.
const LONGEST_NUMBER: usize = 20;

pub(crate) struct RedisStore {
    pool: Pool,
    /// A connection each, shared by whoever comes; nothing before the first use and after a failure.
    lanes: [Mutex<Option<MultiplexedConnection>>; LANES],
    next_lane: AtomicUsize,
    scripts: Scripts,
    expiries: Expiries,
    options: StoreOptions,
}

/// One question to Redis and its answer, over one connection.
struct Exchange {
    lane: usize,
    failed: bool,
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
            .max_size(LANES)
            .timeouts(timeouts)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(unavailable)?;
        let (lanes, next_lane, scripts, expiries) = Default::default();
        let store = Self { pool, lanes, next_lane, scripts, expiries, options };
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
        self.command(&redis::cmd("PING")).await
    }

    /// Runs one command.
    async fn command<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        let mut exchange = self.exchange();
        loop {
            let mut connection = self.connection(&exchange).await?;
            match command.query_async(&mut connection).await {
                Ok(value) => return Ok(value),
                Err(error) => self.failed(&mut exchange, &error)?,
            }
        }
    }

    /// Runs several at once; in one transaction where the pipeline is atomic.
    async fn pipeline<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, StoreError> {
        let mut exchange = self.exchange();
        loop {
            let mut connection = self.connection(&exchange).await?;
            match pipeline.query_async(&mut connection).await {
                Ok(value) => return Ok(value),
                Err(error) => self.failed(&mut exchange, &error)?,
            }
        }
    }

    /// In turn over each lane. Over the same one again where it is tried over: the others may have broken with it.
    fn exchange(&self) -> Exchange {
        Exchange { lane: self.next_lane.fetch_add(1, Ordering::Relaxed) % LANES, failed: false }
    }

    /// Whatever is wrong with a connection, the next caller opens another. `Ok` means to try over it once: a connection
    /// that broke while nobody used it is no failure of Redis, nor are scripts that somebody flushed, and all that is asked
    /// of it may be done twice.
    fn failed(&self, exchange: &mut Exchange, error: &RedisError) -> Result<(), StoreError> {
        // It may be another Redis that answers next.
        self.expiries.forget();
        if !is_of_use(error)
            && let Ok(mut connection) = self.lanes[exchange.lane].lock()
        {
            *connection = None;
        }
        let over_once = error.is_connection_dropped() || error.code() == Some(UNLOADED);
        if over_once && !std::mem::replace(&mut exchange.failed, true) {
            return Ok(());
        }
        Err(unavailable(error))
    }

    async fn connection(&self, exchange: &Exchange) -> Result<MultiplexedConnection, StoreError> {
        let lane = &self.lanes[exchange.lane];
        let held = lane.lock().ok().and_then(|connection| connection.clone());
        if let Some(connection) = held {
            return Ok(connection);
        }
        // The pool makes it. It is not given back: once it is of no use, nobody else shall get it. Boxed, because every
        // future of the store would be larger by what only the first one needs.
        let made = Box::pin(self.pool.get()).await.map_err(unavailable)?;
        let mut connection = deadpool_redis::Connection::take(made);
        Box::pin(self.scripts.load(&mut connection)).await.map_err(unavailable)?;
        if let Ok(mut held) = lane.lock() {
            *held = Some(connection.clone());
        }
        Ok(connection)
    }

    fn key(&self, name: impl std::fmt::Display) -> String {
        format!("{}{name}", self.options.key_prefix)
    }
}

/// A command with room for so many arguments of so many bytes in all. Those that every request sends have it: growing while
/// they are put together was most of what they cost (measured: 26,000 instructions a request).
fn roomy(name: &str, arguments: usize, bytes: usize) -> Cmd {
    let mut command = Cmd::with_capacity(arguments + 1, name.len() + bytes);
    command.arg(name);
    command
}

fn unavailable(error: impl std::fmt::Display) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

/// Whether a connection is worth keeping after this error: there was an answer, and not from a server that is no primary
/// any more, or that has forgotten what is loaded once a connection.
fn is_of_use(error: &RedisError) -> bool {
    let dead_ends = ["READONLY", "MASTERDOWN", "LOADING", "CLUSTERDOWN", UNLOADED];
    error.code().is_some_and(|code| !dead_ends.contains(&code))
}
