//! The other workers. At the start they are asked which tasks are revoked, which Celery calls mingle. Later this worker
//! votes in their elections, which need the vote of every live worker.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::ControlState;
use super::arguments::ids;
use super::mailbox::{exchange, private_queue, transient};
use crate::broker::{Bus, BusEvent, Exchange, PrivateQueue};
use crate::message::Message;

/// How long other workers may take to answer. Celery allows one second; nothing here waits for the answers.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// Asks the other workers once, and adopts their answers until the time is over.
pub(super) async fn greet(state: &ControlState, bus: &Bus, stop: &CancellationToken) {
    let oid = uuid::Uuid::new_v4().to_string();
    let replies =
        Exchange { name: "reply.celery.pidbox".to_owned(), kind: "direct".to_owned(), durable: false };
    let queue = private_queue(format!("{oid}.reply.celery.pidbox"), replies, oid.clone());
    let enough = stop.child_token();
    let mut heard = bus.listen(queue, enough.clone());
    let asking = async {
        while let Some(heard) = heard.recv().await {
            match heard {
                BusEvent::Bound => say_hello(state, bus, &oid).await,
                BusEvent::Message(reply) => state.learn(&reply),
            }
        }
    };
    // Without a broker there are no answers either.
    let _ = tokio::time::timeout(MAX_WAIT, asking).await;
    enough.cancel();
}

async fn say_hello(state: &ControlState, bus: &Bus, oid: &str) {
    let body = json!({
        "method": "hello", "arguments": {"from_node": state.node.as_str(), "revoked": state.revoked.ids()},
        "destination": null, "pattern": null, "matcher": null, "ticket": uuid::Uuid::new_v4(),
        "reply_to": {"exchange": "reply.celery.pidbox", "routing_key": oid},
    });
    let hello = transient(&body, json!({"clock": state.clock.forward(), "expires": 0.0}));
    if let Err(error) = bus.sender().send(&exchange(), "", &hello).await {
        tracing::debug!(%error, "the other workers could not be asked");
    }
}

/// The answer of another worker.
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
            if let Ok(peer) = serde_json::from_value::<Peer>(reply) {
                tracing::info!(node = format!("{node:.200}"), "another worker answered");
                self.clock.adjust(peer.clock.unwrap_or(0));
                self.revoked.add(ids(&peer.revoked.unwrap_or_default()));
            }
        }
    }
}

/// Votes in each election until `stop`, so that the election can end. This worker is never a candidate.
pub(super) async fn vote(state: &ControlState, bus: &Bus, stop: &CancellationToken) {
    let queue = PrivateQueue {
        name: format!("celeryev.{}", uuid::Uuid::new_v4()),
        exchange: crate::events::exchange(),
        key: "worker.elect".to_owned(),
        expires: Duration::from_secs(60),
        message_ttl: Duration::from_secs(5),
    };
    let mut heard = bus.listen(queue, stop.clone());
    while let Some(heard) = heard.recv().await {
        let BusEvent::Message(message) = heard else { continue };
        let Ok(election) = serde_json::from_slice::<Election>(&message.body) else { continue };
        state.clock.adjust(election.clock);
        state.events.worker("worker-elect-ack", json!({"id": election.id}));
    }
}

/// A worker's candidacy in an election.
#[derive(Debug, Deserialize)]
struct Election {
    id: String,
    clock: u64,
}
