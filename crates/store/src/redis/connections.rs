//! The connections of one process. Each carries the commands of many tasks at once, so the tasks share one write and
//! one `fsync` of the append-only file. With one command a connection, tasks waited for a free connection (measured:
//! with `appendfsync always` on a busy disk half of the decisions came too late).
//!
//! An open connection does not prove the server's role: after a fail-over it may lead to a replica. The role is checked
//! when the connection is made and once a second while it is in use, and every error is examined at any depth
//! ([`Verdict`]).

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
/// redis 1.x would time out after 500 ms, which one slow `fsync` of the append-only file can take.
const RESPONSE_LIMIT: Duration = Duration::from_secs(2);
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// How long a server counts as the primary after it has said so.
const PROVEN_FOR: Duration = Duration::from_secs(1);

pub(super) struct Connections {
    pool: Pool,
    /// One connection each, shared by all tasks; `None` before the first use and after a failure.
    lanes: [Mutex<Option<Lane>>; LANES],
    next_lane: AtomicUsize,
    /// How many connections were made. Each connection knows its number.
    made: AtomicU64,
    pub(super) scripts: Scripts,
}

#[derive(Clone)]
struct Lane {
    connection: MultiplexedConnection,
    number: u64,
    proven: Instant,
}

/// One request to Redis and its response, over one lane.
pub(super) struct Exchange {
    lane: usize,
    /// The number of the newest connection when the request was sent. A later connection may lead to another server.
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

    /// Takes the lanes in turn. A retry uses the same lane: the other connections may have broken with it.
    pub(super) fn exchange(&self) -> Exchange {
        let lane = self.next_lane.fetch_add(1, Ordering::Relaxed) % LANES;
        Exchange { lane, newest: 0, retried: false }
    }

    /// Returns a connection whose server is the primary, or was a second ago.
    pub(super) async fn get(&self, exchange: &mut Exchange) -> Result<MultiplexedConnection, StoreError> {
        loop {
            exchange.newest = self.made.load(Ordering::Relaxed);
            let Some((mut held, doubtful)) = self.held(exchange.lane) else {
                // Boxed: otherwise every future of the store would grow by what only the first call needs.
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

    /// `Ok` means to retry, which happens once. A connection that broke while idle is not a failure of Redis, nor are
    /// flushed scripts, and a primary that stepped down may have a successor at the same address. Every request to
    /// Redis may safely be repeated.
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
        Err(unavailable(error.clone()))
    }

    /// The lane's connection, and whether this caller has to check the server's role.
    fn held(&self, lane: usize) -> Option<(MultiplexedConnection, bool)> {
        let mut held = self.lanes[lane].lock().ok()?;
        let held = held.as_mut()?;
        let doubtful = held.proven.elapsed() > PROVEN_FOR;
        if doubtful {
            held.proven = Instant::now();
        }
        Some((held.connection.clone(), doubtful))
    }

    /// Keeps a connection made later than `newest`: it has been checked since.
    fn forget(&self, lane: usize, newest: u64) {
        if let Ok(mut held) = self.lanes[lane].lock()
            && held.as_ref().is_some_and(|held| held.number <= newest)
        {
            *held = None;
        }
    }

    async fn make(&self, exchange: &mut Exchange) -> Result<MultiplexedConnection, StoreError> {
        // It is not returned to the pool: once it is unusable, no other task may get it.
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
