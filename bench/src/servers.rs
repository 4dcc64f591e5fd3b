//! The private RabbitMQ and Redis of the run. They are emptied before each system is measured.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use tempfile::TempDir;
use test_servers::{RabbitMq, Redis, packages};

/// Generous, because a single request can be large here.
const LIMIT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Both servers, and the directory that they write to.
#[derive(Debug)]
pub struct Servers {
    /// The broker.
    pub rabbitmq: RabbitMq,
    /// The store.
    pub redis: Redis,
    directory: TempDir,
}

impl Servers {
    /// Starts both as in the tests: Redis with its append-only file and `appendfsync always`, as in `deploy/`.
    ///
    /// # Errors
    /// Returns an error if one of them is not installed or does not start.
    pub fn start() -> Result<Self> {
        packages::install_missing()?;
        let directory = tempfile::Builder::new().prefix("voltgate-bench-").tempdir()?;
        let below = |name: &str| directory.path().join(name);
        let (rabbitmq, redis) = std::thread::scope(|scope| {
            let rabbitmq = scope.spawn(|| RabbitMq::start(&below("rabbitmq")));
            (rabbitmq.join(), Redis::start(&below("redis")))
        });
        let rabbitmq = rabbitmq.map_err(|_| anyhow!("the thread that starts RabbitMQ panicked"))??;
        Ok(Self { rabbitmq, redis: redis?, directory })
    }

    /// The directory that processes may write to.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Creates a vhost with this name and empties Redis; returns the URL of the vhost.
    ///
    /// # Errors
    /// Returns an error if one of them does not answer.
    pub async fn emptied(&self, name: &str) -> Result<String> {
        let http = reqwest::Client::builder().no_proxy().timeout(LIMIT).build()?;
        let vhost = format!("{}/api/vhosts/{name}", self.rabbitmq.api_url());
        // The vhost may not exist yet.
        let _ = http.delete(&vhost).send().await;
        let made = http.put(&vhost).send().await.and_then(reqwest::Response::error_for_status);
        made.with_context(|| format!("cannot make the vhost {name}"))?;
        let mut redis = self.connect_redis().await?;
        redis::cmd("FLUSHALL").query_async::<()>(&mut redis).await.context("cannot empty Redis")?;
        Ok(format!("{}/{name}", self.rabbitmq.amqp_url()))
    }

    /// The broker's overview in the management API.
    pub(crate) async fn broker_overview(&self) -> Result<serde_json::Value> {
        let http = reqwest::Client::builder().no_proxy().timeout(LIMIT).build()?;
        Ok(http.get(format!("{}/api/overview", self.rabbitmq.api_url())).send().await?.json().await?)
    }

    /// Number of decision records.
    ///
    /// # Errors
    /// Returns an error if Redis does not answer.
    pub async fn records(&self) -> Result<u64> {
        let mut redis = self.connect_redis().await?;
        let (mut cursor, mut count) = (0u64, 0);
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg(&["MATCH", "log:authorize:*", "COUNT", "10000"]);
            let (next, keys): (u64, Vec<String>) = scan.query_async(&mut redis).await?;
            count += keys.len() as u64;
            if next == 0 {
                return Ok(count);
            }
            cursor = next;
        }
    }

    /// Number of decision records once it reaches `wanted`, or after `patience`.
    ///
    /// # Errors
    /// Returns an error if Redis does not answer.
    pub async fn records_once(&self, wanted: u64, patience: Duration) -> Result<u64> {
        let began = Instant::now();
        loop {
            let records = self.records().await?;
            if records >= wanted || began.elapsed() > patience {
                return Ok(records);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    pub(crate) async fn connect_redis(&self) -> Result<redis::aio::MultiplexedConnection> {
        let client = redis::Client::open(self.redis.url())?;
        let config = redis::AsyncConnectionConfig::new().set_response_timeout(Some(LIMIT));
        Ok(client.get_multiplexed_async_connection_with_config(&config).await?)
    }
}
