//! What can be found out about a broker without changing it, for whoever looks for what is wrong with a deployment.

use std::path::Path;
use std::time::{Duration, Instant};

use super::embedded::EmbeddedBroker;
use super::{Broker, BrokerError};

/// What was found.
#[derive(Debug, Clone)]
pub struct BrokerFacts {
    /// What kind it is.
    pub product: &'static str,
    /// The queues that were asked about.
    pub queues: Vec<QueueFacts>,
    /// Whether Celery's ladder of delays is there.
    pub delays: bool,
    /// How long a message took there and back, confirmed; or why it did not get through.
    pub round_trip: Result<Duration, String>,
    /// The broker is short of memory or disk and takes no messages.
    pub blocked: bool,
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
        None => super::amqp::examination::examine(url, queues, limit).await,
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
    let product = "a SQLite file";
    Ok(BrokerFacts { product, queues: facts, delays: true, round_trip: Ok(began.elapsed()), blocked: false })
}
