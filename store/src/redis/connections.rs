//! The connections of one process. Each carries the commands of many tasks at once, so that they share one write and one
//! `fsync` of the append-only file; one command a connection made tasks wait for a free one (measured: with
//! `appendfsync always` on a busy disk half of the decisions came too late).
//!
//! An open connection proves nothing about the server behind it: after a fail-over it may lead to a replica. It is asked when
//! it is made and once a second while it is used, and what an error says is heeded at any depth ([`Verdict`]).

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use deadpool_redis::{Manager, Pool, Runtime, Timeouts};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisError, RedisResult};

use super::scripts::Scripts;
use super::server_role::{self, ServerRole};
use super::unavailable;
use super::verdict::Verdict;
use crate::StoreError;

const LANES: usize = 4;
/// redis 1.x would give up after 500 ms, which one slow `fsync` of the append-only file can take.
const RESPONSE_LIMIT: Duration = Duration::from_secs(2);
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// How long a server is taken for the primary after it has said so.
const PROVEN_FOR: Duration = Duration::from_secs(1);

pub(super) struct Connections {
    pool: Pool,
    /// A connection each, shared by all tasks; nothing before the first use and after a failure.
    lanes: [Mutex<Option<Lane>>; LANES],
    next_lane: AtomicUsize,
    /// How many connections were made. Each knows its number.
    made: AtomicU64,
    pub(super) scripts: Scripts,
}

#[derive(Clone)]
struct Lane {
    connection: MultiplexedConnection,
    number: u64,
    proven: Instant,
}

/// One question to Redis and its answer, over one lane.
pub(super) struct Exchange {
    lane: usize,
    /// The newest connection that there was when the question was sent. A later one may lead to another server.
    newest: u64,
    retried: bool,
}

impl Connections {
    pub(super) fn new(url: &str) -> Result<Self, StoreError> {
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
        let (lanes, next_lane, made, scripts) = Default::default();
        Ok(Self { pool, lanes, next_lane, made, scripts })
    }

    /// In turn over each lane. Over the same one again where it is retried: the others may have broken with it.
    pub(super) fn exchange(&self) -> Exchange {
        let lane = self.next_lane.fetch_add(1, Ordering::Relaxed) % LANES;
        Exchange { lane, newest: 0, retried: false }
    }

    /// A connection that leads to the primary, or did a second ago.
    pub(super) async fn get(&self, exchange: &mut Exchange) -> Result<MultiplexedConnection, StoreError> {
        loop {
            exchange.newest = self.made.load(Ordering::Relaxed);
            let Some((mut held, doubtful)) = self.held(exchange.lane) else {
                // Boxed, as every future of the store would be larger by what only the first one needs.
                return Box::pin(self.make(exchange)).await;
            };
            if !doubtful {
                return Ok(held);
            }
            let role: RedisResult<ServerRole> = server_role::ask().query_async(&mut held).await;
            match role.and_then(ServerRole::still_primary) {
                Ok(()) => return Ok(held),
                Err(error) => self.failed(exchange, &error)?,
            }
        }
    }

    /// `Ok` means to retry, which is done once: a connection that broke while it was idle is no failure of Redis, nor are
    /// scripts that were flushed, and a primary that stepped down may have a successor at the same address. All that is asked
    /// of Redis may be done twice.
    pub(super) fn failed(&self, exchange: &mut Exchange, error: &RedisError) -> Result<(), StoreError> {
        let retry = match Verdict::of(error) {
            Verdict::Keep => false,
            Verdict::Replace { retry } => {
                self.forget(exchange.lane, exchange.newest);
                retry
            }
            Verdict::ReplaceAll => {
                (0..LANES).for_each(|lane| self.forget(lane, exchange.newest));
                true
            }
        };
        if retry && !std::mem::replace(&mut exchange.retried, true) {
            return Ok(());
        }
        Err(unavailable(error))
    }

    /// The lane's connection, and whether it is this caller's to ask the server again what it is.
    fn held(&self, lane: usize) -> Option<(MultiplexedConnection, bool)> {
        let mut held = self.lanes[lane].lock().ok()?;
        let held = held.as_mut()?;
        let doubtful = held.proven.elapsed() > PROVEN_FOR;
        if doubtful {
            held.proven = Instant::now();
        }
        Some((held.connection.clone(), doubtful))
    }

    /// What was made later than `newest` stays: it has proved itself since.
    fn forget(&self, lane: usize, newest: u64) {
        if let Ok(mut held) = self.lanes[lane].lock()
            && held.as_ref().is_some_and(|held| held.number <= newest)
        {
            *held = None;
        }
    }

    async fn make(&self, exchange: &mut Exchange) -> Result<MultiplexedConnection, StoreError> {
        // It is not returned to the pool: once it is of no use, no other task may get it.
        let made = self.pool.get().await.map_err(unavailable)?;
        let mut connection = deadpool_redis::Connection::take(made);
        let role: ServerRole = server_role::ask().query_async(&mut connection).await.map_err(unavailable)?;
        role.serving()?;
        self.scripts.load(&mut connection).await.map_err(unavailable)?;
        let number = self.made.fetch_add(1, Ordering::Relaxed) + 1;
        exchange.newest = number;
        if let Ok(mut held) = self.lanes[exchange.lane].lock() {
            *held = Some(Lane { connection: connection.clone(), number, proven: Instant::now() });
        }
        Ok(connection)
    }
}
