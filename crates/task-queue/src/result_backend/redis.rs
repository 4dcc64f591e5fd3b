//! Results in Redis, as Celery's clients read and await them. All tasks share one connection. It is opened again after
//! a failure, and every operation has a time limit.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, RedisError};

use super::ResultError;
use crate::broker::BoxError;

const CONNECT_LIMIT: Duration = Duration::from_secs(2);
const RESPONSE_LIMIT: Duration = Duration::from_secs(2);

/// A stored success is final: a second run of the same task, after a crash, must not overwrite it. A task that has
/// begun is not marked as revoked. The script is atomic, because another worker may be running the task a second time.
const STORE: &str = "
    local kept = redis.pcall('GET', KEYS[1])
    if type(kept) == 'string' then
        local readable, meta = pcall(cjson.decode, kept)
        local status = readable and type(meta) == 'table' and meta['status']
        if status == 'SUCCESS' then return end
        local waits = {PENDING = 1, RECEIVED = 1, RETRY = 1, REJECTED = 1}
        if ARGV[3] == 'unless begun' and not waits[status] then return end
    end
    redis.call('SETEX', KEYS[1], ARGV[1], ARGV[2])
    redis.call('PUBLISH', KEYS[1], ARGV[2])";

/// A Redis server that stores results.
#[derive(Clone)]
pub struct RedisBackend {
    client: Client,
    /// `None` before the first use and after a failure.
    connection: Arc<Mutex<Option<MultiplexedConnection>>>,
}

impl RedisBackend {
    pub(super) fn new(url: &str) -> Result<Self, ResultError> {
        let client = Client::open(url).map_err(|_| ResultError::BadUrl)?;
        Ok(Self { client, connection: Arc::default() })
    }

    pub(super) async fn store(
        &self,
        task_id: &str,
        meta: &str,
        expires: Duration,
    ) -> Result<(), ResultError> {
        self.run(storing(task_id, meta, expires).arg("always")).await
    }

    /// The same, but only if the task has not begun.
    pub(super) async fn store_unless_begun(
        &self,
        task_id: &str,
        meta: &str,
        expires: Duration,
    ) -> Result<(), ResultError> {
        self.run(storing(task_id, meta, expires).arg("unless begun")).await
    }

    async fn run(&self, command: &Cmd) -> Result<(), ResultError> {
        let mut connection = self.connection().await.map_err(unavailable)?;
        command.query_async(&mut connection).await.map_err(|error: RedisError| {
            // Whatever is wrong with this connection, the next caller opens another.
            if let Ok(mut connection) = self.connection.lock() {
                *connection = None;
            }
            unavailable(error)
        })
    }

    async fn connection(&self) -> Result<MultiplexedConnection, RedisError> {
        let open = self.connection.lock().ok().and_then(|connection| connection.clone());
        if let Some(connection) = open {
            return Ok(connection);
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_LIMIT))
            .set_response_timeout(Some(RESPONSE_LIMIT));
        let connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        if let Ok(mut open) = self.connection.lock() {
            *open = Some(connection.clone());
        }
        Ok(connection)
    }
}

fn storing(task_id: &str, meta: &str, expires: Duration) -> Cmd {
    let mut storing = redis::cmd("EVAL");
    storing.arg(STORE).arg(1).arg(format!("celery-task-meta-{task_id}")).arg(expires.as_secs()).arg(meta);
    storing
}

/// Omits the URL, which may contain a password.
impl fmt::Debug for RedisBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBackend").finish_non_exhaustive()
    }
}

fn unavailable(error: impl Into<BoxError>) -> ResultError {
    ResultError::unavailable(error)
}
