//! What can be found out about a broker without changing it, for whoever looks for what is wrong with a deployment.

use std::path::Path;
use std::time::{Duration, Instant};

use super::embedded::EmbeddedBroker;
use super::{Broker, BrokerError};

/// Levels of Celery's ladder of delays, each an exchange and a queue `celery_delayed_N`; level N holds a message for 2^N s.
pub const DELAY_LEVELS: u32 = 28;

/// What was found.
#[derive(Debug, Clone)]
pub struct BrokerFacts {
    /// What kind it is.
    pub product: &'static str,
    /// The queues that were asked about.
    pub queues: Vec<QueueFacts>,
    /// How delayed messages are held.
    pub delays: DelayFacts,
    /// How long a message took there and back, confirmed; or why it did not get through.
    pub round_trip: Result<Duration, String>,
    /// The broker is short of memory or disk and takes no messages.
    pub blocked: bool,
}

/// What was found about delays.
#[derive(Debug, Clone)]
pub enum DelayFacts {
    /// The broker holds them in the queues themselves.
    Own,
    /// Celery's ladder is needed and is not there.
    NoLadder,
    /// Celery's ladder.
    Ladder(LadderFacts),
    /// The broker did not let it be looked at; why.
    Unknown(String),
}

/// What was found about Celery's ladder of delay queues.
#[derive(Debug, Clone, Default)]
pub struct LadderFacts {
    /// The exchanges and queues of it that are not there.
    pub missing: Vec<String>,
    /// Queues that were declared in another way than kombu's and ours, with what the broker says of them.
    pub different: Vec<String>,
    /// Messages that wait on it.
    pub messages: u64,
}

/// What was found about a queue.
#[derive(Debug, Clone)]
pub struct QueueFacts {
    /// Its name.
    pub name: String,
    /// Nothing where there is no such queue, or nobody may ask.
    pub state: Option<QueueState>,
}

/// How a queue stands.
#[derive(Debug, Clone)]
pub struct QueueState {
    /// Messages that wait.
    pub messages: u64,
    /// Consumers of all processes; nothing where that cannot be known.
    pub consumers: Option<u64>,
    /// `quorum`, `classic` or `embedded`; nothing where it was declared in a way that hides it.
    pub kind: Option<&'static str>,
}

/// Looks at the broker that the URL names, and at these queues.
///
/// # Errors
/// It cannot be reached within `limit`, or refuses.
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
