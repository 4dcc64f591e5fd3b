//! The other workers: asked at the start for what they know to be revoked (Celery calls that mingle), and helped in their
//! elections, which count on every worker that is alive.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::ControlState;
use super::mailbox::{exchange, private_queue, transient};
use crate::broker::{Bus, Exchange, Heard, PrivateQueue};
use crate::message::Message;

/// How long neighbours may take to answer. Celery gives them one second; nothing here waits for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks who is there, once, and takes over what they say until it is too late to be an answer.
pub(super) async fn greet(panel: &ControlState, bus: &Bus, stop: &CancellationToken) {
    let oid = uuid::Uuid::new_v4().to_string();
    let replies =
        Exchange { name: "reply.celery.pidbox".to_owned(), kind: "direct".to_owned(), durable: false };
    let queue = private_queue(format!("{oid}.reply.celery.pidbox"), replies, oid.clone());
    let enough = stop.child_token();
    let mut heard = bus.listen(queue, enough.clone());
    let asking = async {
        while let Some(heard) = heard.recv().await {
            match heard {
                Heard::Bound => say_hello(panel, bus, &oid).await,
                Heard::Message(reply) => panel.learn(&reply),
            }
        }
    };
    // Without a broker there is nobody to answer either.
    let _ = tokio::time::timeout(PATIENCE, asking).await;
    enough.cancel();
}

async fn say_hello(panel: &ControlState, bus: &Bus, oid: &str) {
    let body = json!({
        "method": "hello", "arguments": {"from_node": panel.node.as_str(), "revoked": panel.revoked.ids()},
        "destination": null, "pattern": null, "matcher": null, "ticket": uuid::Uuid::new_v4(),
        "reply_to": {"exchange": "reply.celery.pidbox", "routing_key": oid},
    });
    let hello = transient(&body, json!({"clock": panel.clock.forward(), "expires": 0.0}));
    if let Err(error) = bus.sender().send(&exchange(), "", &hello).await {
        tracing::debug!(%error, "the other workers were not greeted");
    }
}

/// What a neighbour answers.
#[derive(Debug, Deserialize)]
struct Peer {
    clock: Option<u64>,
    revoked: Option<Value>,
}

impl ControlState {
    fn learn(&self, reply: &Message) {
        self.clock.adjust(reply.number_header("clock").unwrap_or(0));
        let replies: Map<String, Value> = serde_json::from_slice(&reply.body).unwrap_or_default();
        for (node, reply) in replies {
            if let Ok(neighbour) = serde_json::from_value::<Peer>(reply) {
                tracing::info!(node = format!("{node:.200}"), "met another worker");
                self.clock.adjust(neighbour.clock.unwrap_or(0));
                self.revoked.add(ids(&neighbour.revoked.unwrap_or_default()));
            }
        }
    }
}

/// A list, or what Celery before 5.7 sends: an object whose names are the ids.
pub(super) fn ids(revoked: &Value) -> Vec<&str> {
    match revoked {
        Value::Array(ids) => ids.iter().filter_map(Value::as_str).collect(),
        Value::Object(ids) => ids.keys().map(String::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Gives its vote in each election until `stop`, so that it can end. A worker of ours never stands for one.
pub(super) async fn vote(panel: &ControlState, bus: &Bus, stop: &CancellationToken) {
    let queue = PrivateQueue {
        name: format!("celeryev.{}", uuid::Uuid::new_v4()),
        exchange: crate::events::exchange(),
        key: "worker.elect".to_owned(),
        expires: Duration::from_secs(60),
        message_ttl: Duration::from_secs(5),
    };
    let mut heard = bus.listen(queue, stop.clone());
    while let Some(heard) = heard.recv().await {
        let Heard::Message(message) = heard else { continue };
        let Ok(election) = serde_json::from_slice::<Election>(&message.body) else { continue };
        panel.clock.adjust(election.clock);
        panel.events.worker("worker-elect-ack", json!({"id": election.id}));
    }
}

/// Somebody stands for an election.
#[derive(Debug, Deserialize)]
struct Election {
    id: String,
    clock: u64,
}
