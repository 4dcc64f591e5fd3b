//! The configuration of the broker, shared by every process that uses one.

mod callbacks;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::settings::{BROKER_URL, PUBLISH_TIMEOUT_SEC, RECOVERY_TIMEOUT_SEC, TASK_QUEUE, TASK_QUEUE_TYPE};
pub use callbacks::{address_guard, webhook_signer};
use service_runtime::exit::Failure;
use service_runtime::server_url::{Allowed, ServerUrl};
use service_runtime::settings::{STARTUP_TIMEOUT_SEC, SettingError, Settings};
use task_queue::{Broker, BrokerError, QueueType, Topology};

use crate::tasks::deliver_callback;

const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The broker's location and the queue names.
#[derive(Debug, Clone)]
pub struct BrokerConfig {
    url: ServerUrl,
    /// The queue of requests; the names of the other queues derive from it.
    pub task_queue: String,
    /// Further queues to declare.
    further: Vec<String>,
    queue_type: QueueType,
    publish_timeout: Duration,
    limit: Duration,
    recovery: Duration,
}

/// The parts of a URL that lapin reads. It silently ignores the others: an IPv6 address would lead to localhost, and
/// without heartbeats a dead connection would go unnoticed.
const ALLOWED: Allowed = Allowed {
    schemes: &["amqp", "amqps"],
    parameters: &[
        ("heartbeat", |text| text.parse().is_ok_and(|seconds: u16| seconds > 0)),
        ("frame_max", |text| text.parse::<u32>().is_ok()),
        ("channel_max", |text| text.parse::<u16>().is_ok()),
        ("connection_timeout", |text| text.parse().is_ok_and(|milliseconds: u64| milliseconds > 0)),
        ("auth_mechanism", |text| {
            let known = ["plain", "amqplain", "external", "anonymous", "rabbit-cr-demo"];
            known.iter().any(|name| name.eq_ignore_ascii_case(text))
        }),
    ],
    ipv6: false,
};

/// The broker's location.
///
/// # Errors
/// Returns an error if `BROKER_URL` is not a usable URL.
pub fn broker_url(settings: &Settings) -> Result<ServerUrl, SettingError> {
    settings.server_url(&BROKER_URL, &ALLOWED)
}

impl BrokerConfig {
    /// Reads the settings.
    ///
    /// # Errors
    /// Returns an error if a setting has a bad value.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        Ok(Self {
            url: broker_url(settings)?,
            task_queue: settings.parse_with(&TASK_QUEUE, queue_name)?,
            further: Vec::new(),
            queue_type: settings.parse_with(&TASK_QUEUE_TYPE, |text| match text {
                "quorum" => Some(QueueType::Quorum),
                "classic" => Some(QueueType::Classic),
                _ => None,
            })?,
            publish_timeout: settings.seconds(&PUBLISH_TIMEOUT_SEC, 60)?,
            limit: settings.seconds(&STARTUP_TIMEOUT_SEC, 3600)?,
            recovery: settings.seconds(&RECOVERY_TIMEOUT_SEC, 86_400)?,
        })
    }

    /// The same, with a further queue to declare, and its dead letter queue.
    #[must_use]
    pub fn with_queue(mut self, queue: &str) -> Self {
        self.further.push(queue.to_owned());
        self
    }

    /// Connects, under this process's name.
    ///
    /// # Errors
    /// Returns an error that names the broker and its address if it cannot be reached.
    pub async fn connect(&self, process: &str) -> Result<Arc<dyn Broker>, Failure> {
        let own = [self.task_queue.clone(), deliver_callback::queue(&self.task_queue)];
        let topology = Topology {
            queues: own.into_iter().chain(self.further.iter().cloned()).collect(),
            queue_type: self.queue_type,
            publish_timeout: self.publish_timeout,
            name: format!("voltgate {process}"),
        };
        task_queue::connect(self.url.expose(), topology, self.limit).await.map_err(|error| {
            let shown = self.url.to_string();
            match error {
                BrokerError::BadUrl => {
                    SettingError::Bad { name: BROKER_URL.name, value: shown, expected: BROKER_URL.expected }
                        .into()
                }
                error => Failure::Unreachable {
                    what: "the broker (BROKER_URL)",
                    at: shown,
                    why: error.to_string(),
                },
            }
        })
    }

    /// Waits until the broker has been unavailable for longer than the recovery timeout.
    pub async fn lost(&self, broker: &Arc<dyn Broker>) -> Failure {
        let mut last_seen = Instant::now();
        while last_seen.elapsed() < self.recovery {
            tokio::time::sleep(LOOK_EVERY).await;
            if broker.is_connected() {
                last_seen = Instant::now();
            }
        }
        Failure::Unreachable {
            what: "the broker (BROKER_URL)",
            at: self.url.to_string(),
            why: format!("no connection within {:?} (RECOVERY_TIMEOUT_SEC)", self.recovery),
        }
    }
}

/// The name with the suffix `.callbacks` and the 56 characters of a delay before it has to fit into AMQP's 255.
fn queue_name(text: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    ((1..=150).contains(&text.len()) && text.bytes().all(plain)).then(|| text.to_owned())
}
