//! Examines a store, for the diagnosis of a deployment.

use common::error_chain::BoxError;
use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client};

use crate::{STORE_FILE, StoreError};

/// The key that is written to check that writes work; it expires after some seconds.
const PROBE: &str = "voltgate:doctor";

/// The facts found.
#[derive(Debug, Clone)]
pub enum StoreFacts {
    /// Facts about a Redis server.
    Redis(RedisFacts),
    /// Facts about a directory.
    Embedded {
        /// Whether the store's file exists.
        exists: bool,
    },
}

/// The facts about a Redis server.
#[derive(Debug, Clone)]
pub struct RedisFacts {
    /// What `INFO` says, or why the server did not answer it: some users may not run it.
    pub info: Result<RedisInfo, String>,
    /// Whether a value can be written, or the reason why not.
    pub writable: Result<(), String>,
    /// How many milliseconds its clock is ahead of ours, as far as network latency allows to measure, or why `TIME` was
    /// not answered.
    pub clock_ahead_ms: Result<i64, String>,
    /// The latency of one command, the best of several.
    pub latency: Duration,
}

/// The facts in `INFO`.
#[derive(Debug, Clone)]
pub struct RedisInfo {
    /// The version, such as 7.0.15.
    pub version: String,
    /// `standalone`, `cluster` or `sentinel`.
    pub mode: String,
    /// Whether the server is a replica.
    pub replica: bool,
    /// Whether it has replicas and accepts writes even if none of them is connected: after a fail-over it would go on
    /// admitting drivers.
    pub unfenced: bool,
    /// Whether the append-only file is on, so that a crash loses nothing or one second of writes.
    pub append_only: bool,
    /// The eviction policy when memory is full.
    pub eviction: String,
    /// The used fraction of the memory limit; `None` without a limit.
    pub memory_used: Option<f64>,
}

/// Examines the store at `url`. Our keys begin with `key_prefix`.
///
/// # Errors
/// Returns an error if the store cannot be reached within `limit`.
pub async fn examine(url: &str, key_prefix: &str, limit: Duration) -> Result<StoreFacts, StoreError> {
    if let Some(directory) = url.strip_prefix("embedded:") {
        let exists = STORE_FILE.is_in(Path::new(directory));
        return Ok(StoreFacts::Embedded { exists });
    }
    let client = Client::open(url).map_err(|_| StoreError::BadUrl)?;
    let config =
        AsyncConnectionConfig::new().set_connection_timeout(Some(limit)).set_response_timeout(Some(limit));
    let connection = client.get_multiplexed_async_connection_with_config(&config).await;
    let looked = look(&mut connection.map_err(unavailable)?, key_prefix).await;
    looked.map(StoreFacts::Redis).map_err(unavailable)
}

async fn look(redis: &mut MultiplexedConnection, key_prefix: &str) -> redis::RedisResult<RedisFacts> {
    let info = permitted(redis::cmd("INFO").query_async::<String>(redis).await)?.map(|text| read_info(&text));
    let (mut latency, mut clock_ahead_ms) = (Duration::MAX, Ok(0));
    for _ in 0..5 {
        let began = Instant::now();
        let answered = permitted(redis::cmd("TIME").query_async::<(i64, i64)>(redis).await)?;
        let took = began.elapsed();
        if took < latency {
            // The server's clock was read about half-way through the call.
            let ours = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() - took / 2;
            let ours = i64::try_from(ours.as_millis()).unwrap_or(i64::MAX);
            latency = took;
            clock_ahead_ms = answered.map(|(seconds, micros)| seconds * 1000 + micros / 1000 - ours);
        }
    }
    let mut probe = redis::cmd("SET");
    probe.arg(format!("{key_prefix}{PROBE}")).arg("1").arg("EX").arg(5);
    let writable = probe.query_async::<()>(redis).await.map_err(|error| error.to_string());
    Ok(RedisFacts { info, writable, clock_ahead_ms, latency })
}

/// A command that this user may not run, or that the server lacks, is a fact; any other error ends the examination.
fn permitted<T>(answered: redis::RedisResult<T>) -> redis::RedisResult<Result<T, String>> {
    match answered {
        Ok(answer) => Ok(Ok(answer)),
        Err(error) if matches!(error.code(), Some("NOPERM" | "ERR")) => Ok(Err(error.to_string())),
        Err(error) => Err(error),
    }
}

fn read_info(text: &str) -> RedisInfo {
    let info: HashMap<&str, &str> = text.lines().filter_map(|line| line.trim().split_once(':')).collect();
    let text = |name: &str| info.get(name).copied().unwrap_or_default();
    let number = |name: &str| text(name).parse::<f64>().unwrap_or_default();
    RedisInfo {
        version: text("redis_version").to_owned(),
        mode: text("redis_mode").to_owned(),
        replica: text("role") == "slave",
        // The field is present only if `min-replicas-to-write` is set.
        unfenced: number("connected_slaves") > 0.0 && !info.contains_key("min_slaves_good_slaves"),
        append_only: text("aof_enabled") == "1",
        eviction: text("maxmemory_policy").to_owned(),
        memory_used: (number("maxmemory") > 0.0).then(|| number("used_memory") / number("maxmemory")),
    }
}

fn unavailable(error: impl Into<BoxError>) -> StoreError {
    StoreError::unavailable(error)
}
