//! Facts about a broker, gathered without changing it, for finding faults in a deployment.

use std::path::Path;
use std::time::{Duration, Instant};

use super::embedded::EmbeddedBroker;
use super::{Broker, BrokerError};

/// The levels of Celery's ladder of delays. Each is an exchange and a queue `celery_delayed_N`; level N holds a message
/// for 2^N s.
pub const DELAY_LEVELS: u32 = 28;

/// The facts about a broker.
#[derive(Debug, Clone)]
pub struct BrokerFacts {
    /// The kind of broker.
    pub product: &'static str,
    /// The requested queues.
    pub queues: Vec<QueueFacts>,
    /// How delayed messages are held.
    pub delays: DelayFacts,
    /// How long a message took to the broker and back, confirmed; or why it did not arrive.
    pub round_trip: Result<Duration, String>,
    /// Whether the broker is short of memory or disk and accepts no messages.
    pub blocked: bool,
}

/// The facts about delays.
#[derive(Debug, Clone)]
pub enum DelayFacts {
    /// The broker holds them in the queues themselves.
    Own,
    /// Celery's ladder is needed but does not exist.
    NoLadder,
    /// Celery's ladder.
    Ladder(LadderFacts),
    /// The ladder could not be examined, for this reason.
    Unknown(String),
}

/// The facts about Celery's ladder of delay queues.
#[derive(Debug, Clone, Default)]
pub struct LadderFacts {
    /// The exchanges and queues that do not exist.
    pub missing: Vec<String>,
    /// Queues declared differently from kombu's and ours, with the broker's answer.
    pub different: Vec<String>,
    /// Messages that wait on the ladder.
    pub messages: u64,
}

/// The facts about a queue.
#[derive(Debug, Clone)]
pub struct QueueFacts {
    /// Its name.
    pub name: String,
    /// `None` if the queue does not exist, or access to it was refused.
    pub state: Option<QueueState>,
}

/// The state of a queue.
#[derive(Debug, Clone)]
pub struct QueueState {
    /// Ready messages.
    pub messages: u64,
    /// Consumers of all processes; `None` if unknown.
    pub consumers: Option<u64>,
    /// `quorum`, `classic` or `embedded`; `None` if the declaration hides it.
    pub kind: Option<&'static str>,
}

/// Examines the broker that the URL names, and these queues.
///
/// # Errors
/// Returns an error if the broker cannot be reached within `limit`, or refuses the connection.
pub async fn examine(url: &str, queues: &[String], limit: Duration) -> Result<BrokerFacts, BrokerError> {
    match url.strip_prefix("embedded:") {
        Some(directory) => embedded(directory.as_ref(), queues).await,
        None => super::amqp::diagnostics::examine(url, queues, limit).await,
    }
}

async fn embedded(directory: &Path, queues: &[String]) -> Result<BrokerFacts, BrokerError> {
    let broker = EmbeddedBroker::beside(directory)?;
    let began = Instant::now();
    let mut facts = Vec::new();
    for name in queues {
        let messages = broker.depth(name).await?;
        let state = QueueState { messages, consumers: None, kind: Some("embedded") };
        facts.push(QueueFacts { name: name.clone(), state: Some(state) });
    }
    broker.close().await;
    let product = "a SQLite file";
    Ok(BrokerFacts {
        product,
        queues: facts,
        delays: DelayFacts::Own,
        round_trip: Ok(began.elapsed()),
        blocked: false,
    })
}
