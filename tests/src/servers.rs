//! The RabbitMQ and the Redis of this run. `make test` starts them; a test without them fails and says so.

use anyhow::Context;

/// The addresses of the run's servers.
#[derive(Debug, Clone)]
pub struct Servers {
    /// `amqp://user:password@host:port`, without a vhost.
    pub broker: String,
    /// The management API, with its login.
    pub broker_api: String,
    /// `redis://host:port`.
    pub redis: String,
    /// A Python with Celery.
    pub python: String,
}

impl Servers {
    /// Reads the environment that `with-servers` sets.
    pub fn of_this_run() -> Self {
        Self {
            broker: variable("VOLTGATE_TEST_BROKER_URL"),
            broker_api: variable("VOLTGATE_TEST_BROKER_API"),
            redis: variable("VOLTGATE_TEST_REDIS_URL"),
            python: variable("VOLTGATE_TEST_PYTHON"),
        }
    }

    /// Creates a vhost that nothing else uses; returns its name.
    pub async fn new_vhost(&self) -> String {
        let name = format!("test-{}", uuid::Uuid::new_v4().simple());
        let response = reqwest_client().put(format!("{}/api/vhosts/{name}", self.broker_api)).send().await;
        response
            .and_then(reqwest::Response::error_for_status)
            .expect("the broker's management API makes a vhost");
        name
    }

    /// Queries the management API about a vhost.
    pub async fn broker_get(&self, path: &str) -> Option<serde_json::Value> {
        let response = reqwest_client().get(format!("{}/api/{path}", self.broker_api)).send().await.ok()?;
        response.error_for_status().ok()?.json().await.ok()
    }

    /// A connection to the run's Redis.
    pub async fn redis(&self) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(self.redis.as_str()).expect("the URL of Redis");
        client.get_multiplexed_async_connection().await.expect("Redis answers")
    }
}

/// An HTTP client for tests: without a proxy, and with a limit on everything.
pub fn reqwest_client() -> reqwest::Client {
    let limit = std::time::Duration::from_secs(30);
    reqwest::Client::builder().no_proxy().timeout(limit).build().expect("a client")
}

#[expect(clippy::disallowed_methods, reason = "these are the test run's, not settings of the product")]
fn variable(name: &str) -> String {
    std::env::var(name)
        .with_context(|| {
            format!(
                "{name} is not set. The tests run against real servers: run `make test`, or \
                 `cargo run -p test-servers --bin with-servers -- cargo test -p tests`"
            )
        })
        .unwrap()
}
