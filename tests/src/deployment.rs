//! A private system for a test: a vhost, a key prefix, and our services as processes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use authorization::tasks::deliver_callback;
use redis::AsyncCommands;
use serde_json::{Value, json};
use task_queue::{Broker, QueueType, Topology};

use crate::eventually;
use crate::link::Link;
use crate::process::Process;
use crate::servers::{Servers, reqwest_client};

/// One station for all tests, because each test has its own key prefix.
pub const STATION: &str = "123e4567-e89b-12d3-a456-426614174000";
/// The queue of requests.
pub const QUEUE: &str = "celery";
/// A well-formed driver token.
pub const DRIVER: &str = "valid_driver_token_12345";
/// Another well-formed driver token.
pub const STRANGER: &str = "other_driver_token_12345";

/// The settings that the services of a test share, and the addresses on which they listen.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// The run's servers.
    pub servers: Servers,
    /// The vhost.
    pub vhost: String,
    /// The key prefix.
    pub prefix: String,
    /// The environment of every service.
    pub environment: BTreeMap<String, String>,
    /// For requests to the services.
    pub http: reqwest::Client,
    /// The directory of another version's programs; `None` for this version's.
    pub programs: Option<PathBuf>,
}

/// The three services, one of each.
#[derive(Debug)]
pub struct Services {
    /// public-api's URL.
    pub api_url: String,
    /// acl-service's URL.
    pub acl_url: String,
    /// The processes.
    pub api: Process,
    /// The processes.
    pub acl: Process,
    /// The processes.
    pub worker: Process,
}

impl Deployment {
    /// An empty system.
    pub async fn new() -> Self {
        Self::on(Servers::of_this_run()).await
    }

    /// An empty system on private servers, which the test may kill.
    pub async fn on(servers: Servers) -> Self {
        let vhost = servers.new_vhost().await;
        let prefix = format!("{vhost}:");
        let environment = [
            ("BROKER_URL", format!("{}/{vhost}", servers.broker)),
            ("REDIS_URL", servers.redis.clone()),
            ("REDIS_KEY_PREFIX", prefix.clone()),
            ("BIND_ADDRESS", "127.0.0.1".to_owned()),
            ("PUBLIC_API_PORT", "0".to_owned()),
            ("AUTHORIZATION_SERVICE_PORT", "0".to_owned()),
            ("PLATFORM_API_PORT", "0".to_owned()),
            ("OCPP_PORT", "0".to_owned()),
            ("CALLBACK_ALLOWED_NETWORKS", "127.0.0.0/8".to_owned()),
            ("SHUTDOWN_GRACE_SEC", "5".to_owned()),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value)).into();
        Self { servers, vhost, prefix, environment, http: reqwest_client(), programs: None }
    }

    /// The same deployment with a setting changed.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.environment.insert(name.to_owned(), format!("{value}"));
        self
    }

    /// The same deployment, whose services reach the URL in this setting through a link.
    #[must_use]
    pub fn through(&self, setting: &str, link: &Link) -> Self {
        self.clone().with(setting, link.through(&self.environment[setting]))
    }

    /// Starts one of each service.
    pub async fn start(&mut self) -> Services {
        let (acl, acl_url) = self.start_acl().await;
        let worker = self.start_worker();
        let (api, api_url) = self.start_api().await;
        Services { api_url, acl_url, api, acl, worker }
    }

    /// Starts acl-service; workers started later use it.
    pub async fn start_acl(&mut self) -> (Process, String) {
        let mut acl = self.start_process("acl-service");
        let url = format!("http://{}", acl.logged("address").await);
        self.environment.insert("AUTHORIZATION_SERVICE_URL".to_owned(), url.clone());
        (acl, url)
    }

    /// Starts a public-api.
    pub async fn start_api(&self) -> (Process, String) {
        let mut api = self.start_process("public-api");
        let url = format!("http://{}", api.logged("address").await);
        (api, url)
    }

    /// Starts a platform-api; the deployment has a `DATABASE_URL`.
    pub async fn start_platform(&self) -> (Process, String) {
        let mut platform = self.start_process("platform-api");
        let url = format!("http://{}", platform.logged("address").await);
        (platform, url)
    }

    /// Starts an ocpp-gateway; the deployment has a `DATABASE_URL`.
    pub async fn start_gateway(&self) -> (Process, String) {
        let mut gateway = self.start_process("ocpp-gateway");
        let url = format!("ws://{}", gateway.logged("address").await);
        (gateway, url)
    }

    /// Starts a worker.
    pub fn start_worker(&self) -> Process {
        self.start_process("worker")
    }

    fn start_process(&self, name: &str) -> Process {
        let program = self.programs.as_ref().map(|programs| programs.join(name).display().to_string());
        Process::start(program.as_deref().unwrap_or(name), &[], &self.environment)
    }

    /// A connection to its broker, for tasks that are not published by public-api.
    pub async fn broker(&self) -> Arc<dyn Broker> {
        let topology = Topology {
            queues: vec![QUEUE.to_owned(), deliver_callback::queue(QUEUE)],
            queue_type: QueueType::Quorum,
            publish_timeout: Duration::from_secs(2),
            name: "tests".to_owned(),
        };
        let url = &self.environment["BROKER_URL"];
        task_queue::connect(url, topology, Duration::from_secs(30)).await.expect("the broker answers")
    }

    /// The Redis keys of this test, without their prefix, sorted.
    pub async fn keys(&self) -> Vec<String> {
        let mut redis = self.servers.redis().await;
        let keys: Vec<String> = redis.keys(format!("{}*", self.prefix)).await.expect("KEYS");
        let mut keys: Vec<String> = keys.iter().map(|key| key[self.prefix.len()..].to_owned()).collect();
        keys.sort();
        keys
    }

    /// A Redis hash of this test.
    pub async fn hash(&self, key: &str) -> BTreeMap<String, String> {
        self.servers.redis().await.hgetall(format!("{}{key}", self.prefix)).await.expect("HGETALL")
    }

    /// Takes all messages off a queue.
    pub async fn drain(&self, queue: &str) -> Vec<Value> {
        let url = format!("{}/api/queues/{}/{queue}/get", self.servers.broker_api, self.vhost);
        let body = json!({"count": 100_000, "ackmode": "ack_requeue_false", "encoding": "auto"});
        let response = self.http.post(url).json(&body).send().await.expect("the management API answers");
        response.json().await.unwrap_or_default()
    }

    /// The number of messages in a queue, ready or unacknowledged, as last counted by the broker.
    pub async fn messages_in(&self, queue: &str) -> Option<u64> {
        self.servers.broker_get(&format!("queues/{}/{queue}", self.vhost)).await?["messages"].as_u64()
    }
}

impl Services {
    /// Puts the driver on the station's access list.
    pub async fn admit(&self, http: &reqwest::Client, driver: &str) {
        let url = format!("{}/station/{STATION}/driver/{driver}/acl", self.acl_url);
        let response = http.put(url).send().await.expect("acl-service answers");
        assert!(response.status().is_success(), "{response:?}");
    }

    /// Requests an authorization; returns the request's id.
    pub async fn ask(&self, http: &reqwest::Client, driver: &str, callback_url: &str) -> String {
        ask(http, &self.api_url, driver, callback_url).await.expect("the request is accepted")
    }

    /// Waits until the record of the request shows this delivery state; returns the record.
    pub async fn record_once(&self, http: &reqwest::Client, request: &str, delivery: &str) -> Value {
        record_once(http, &self.api_url, request, delivery).await
    }
}

/// Why there was no `202`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The answer had this status.
    With(u16),
    /// The connection failed or was cut.
    NoAnswer,
}

/// Requests an authorization at a public-api; returns the request's id if it was accepted.
pub async fn ask(http: &reqwest::Client, api_url: &str, driver: &str, callback_url: &str) -> Option<String> {
    try_ask(http, api_url, driver, callback_url).await.ok()
}

/// Same as [`ask`], with the reason for a failure.
///
/// # Errors
/// Returns an error if there was no `202`.
pub async fn try_ask(
    http: &reqwest::Client,
    api_url: &str,
    driver: &str,
    callback_url: &str,
) -> Result<String, Refused> {
    let url = format!("{api_url}/station/{STATION}/driver/{driver}/authorize");
    let asking = http.post(url).json(&json!({ "callback_url": callback_url })).send().await;
    let response = asking.map_err(|_| Refused::NoAnswer)?;
    if response.status() != reqwest::StatusCode::ACCEPTED {
        return Err(Refused::With(response.status().as_u16()));
    }
    let body: Value = response.json().await.map_err(|_| Refused::NoAnswer)?;
    Ok(body["request_id"].as_str().expect("a 202 names its request").to_owned())
}

/// Waits until a public-api shows this delivery state of a request; returns its record.
pub async fn record_once(http: &reqwest::Client, api_url: &str, request: &str, delivery: &str) -> Value {
    let url = format!("{api_url}/requests/{request}");
    eventually(&format!("the record of {request} to say {delivery}"), async || {
        let shown: Value = http.get(&url).send().await.ok()?.json().await.ok()?;
        (shown["delivery"] == delivery).then_some(shown)
    })
    .await
}
