//! Publishing: persistent, mandatory, confirmed, within a time limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lapin::Confirmation;
use lapin::options::BasicPublishOptions;
use lapin::types::ShortString;
use tokio::time::{Instant, timeout_at};

use super::link::{Link, Session};
use super::{table, topology};
use crate::broker::{PublishError, Topology};
use crate::message::Message;

/// Declaring 28 quorum queues for the first time takes a broker seconds.
const LADDER_LIMIT: Duration = Duration::from_secs(30);

/// AMQP's "need not survive a restart of the broker".
const FLEETING: u8 = 1;

const BLOCKED: &str = "it is short of memory or disk and takes no messages for now";

#[derive(Debug)]
pub(super) struct Publisher {
    link: Link,
    topology: Topology,
    /// Confirms seen, so that a publish that waited in vain can tell a slow broker from a dead connection.
    confirms: AtomicU64,
}

impl Publisher {
    pub(super) fn new(link: Link, topology: Topology) -> Self {
        Self { link, topology, confirms: AtomicU64::new(0) }
    }

    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    pub(super) fn is_connected(&self) -> bool {
        self.link.is_up()
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.link.is_blocked()
    }

    pub(super) async fn close(&self) {
        self.link.close().await;
    }

    pub(super) async fn session(&self) -> Result<Arc<Session>, PublishError> {
        self.session_until(Instant::now() + self.topology.publish_timeout).await
    }

    async fn session_until(&self, deadline: Instant) -> Result<Arc<Session>, PublishError> {
        timeout_at(deadline, self.link.session())
            .await
            .map_err(|_| PublishError::Unavailable(self.link.why_down()))
    }

    pub(super) async fn publish(
        &self,
        queue: &str,
        message: &Message,
        delay: Duration,
    ) -> Result<(), PublishError> {
        if delay.is_zero() {
            return self.publish_surely(queue, (ShortString::from(""), queue.to_owned()), message).await;
        }
        let asked = Instant::now();
        self.ensure_ladder().await?;
        // Making the ladder took its part of the delay. Rounded up: a retry that comes early may be refused by what asked
        // for the delay.
        let left = delay.saturating_sub(asked.elapsed());
        let seconds = u64::try_from(left.as_nanos().div_ceil(1_000_000_000)).unwrap_or(u64::MAX);
        // A level of the ladder lets a message go at its own expiration, where that is earlier than the level's.
        let lasting = message.without_expiration();
        self.publish_surely(queue, topology::delayed_route(queue, seconds), &lasting).await
    }

    /// Without a queue of that name nobody waits for it any more, which is as good.
    pub(super) async fn reply(&self, queue: &str, message: &Message) -> Result<(), PublishError> {
        let fleeting = |properties: lapin::BasicProperties| properties.with_delivery_mode(FLEETING);
        let properties = table::to_properties(message).map(fleeting).ok_or(PublishError::TooLarge)?;
        match self.send((ShortString::from(""), queue.to_owned()), &message.body, properties).await {
            Ok(()) | Err(PublishError::Unroutable(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn publish_surely(
        &self,
        queue: &str,
        route: (ShortString, String),
        message: &Message,
    ) -> Result<(), PublishError> {
        match self.publish_to(route.clone(), message).await {
            Err(PublishError::Unroutable(_)) => {
                // Somebody deleted the queue while we were connected.
                self.declare_again(queue).await?;
                self.publish_to(route, message).await
            }
            result => result,
        }
    }

    async fn publish_to(&self, route: (ShortString, String), message: &Message) -> Result<(), PublishError> {
        let properties = table::to_properties(message).ok_or(PublishError::TooLarge)?;
        self.send(route, &message.body, properties).await
    }

    async fn send(
        &self,
        (exchange, key): (ShortString, String),
        body: &[u8],
        properties: lapin::BasicProperties,
    ) -> Result<(), PublishError> {
        let limit = self.topology.publish_timeout;
        let deadline = Instant::now() + limit;
        let key_text = table::short(&key).ok_or(PublishError::TooLarge)?;
        let session = self.session_until(deadline).await?;
        if session.connection.status().blocked() {
            // Nothing is read from us until the alarm is over: waiting would only end in the time limit.
            return Err(PublishError::Unavailable(BLOCKED.to_owned()));
        }
        let confirms_before = self.confirms.load(Ordering::Relaxed);
        let publishing = async {
            let mandatory = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
            session.channel.basic_publish(exchange, key_text, mandatory, body, properties).await?.await
        };
        let outcome = timeout_at(deadline, publishing).await;
        let Ok(outcome) = outcome else {
            self.suspect(&session, confirms_before);
            return Err(PublishError::Unconfirmed(limit));
        };
        self.confirms.fetch_add(1, Ordering::Relaxed);
        match outcome {
            Ok(Confirmation::Ack(None)) => Ok(()),
            Ok(Confirmation::Ack(Some(_))) => Err(PublishError::Unroutable(key)),
            Ok(Confirmation::Nack(_)) => Err(PublishError::Refused),
            Ok(Confirmation::NotRequested) => {
                session.lost.cancel();
                Err(PublishError::Unavailable("the channel is not in confirm mode".to_owned()))
            }
            Err(error) => {
                // One failed channel is enough to begin again: it is the only one that publishes.
                session.lost.cancel();
                Err(PublishError::Unavailable(error.to_string()))
            }
        }
    }

    /// Not one confirm for a whole time limit, and the broker did not say that it is blocked: packets vanish.
    fn suspect(&self, session: &Session, confirms_before: u64) {
        let silent = self.confirms.load(Ordering::Relaxed) == confirms_before;
        if silent && !session.connection.status().blocked() {
            session.lost.cancel();
        }
    }

    async fn declare_again(&self, queue: &str) -> Result<(), PublishError> {
        let session = self.session().await?;
        let declaring = topology::declare_queue(&session.connection, queue, self.topology.queue_type);
        match tokio::time::timeout(self.topology.publish_timeout, declaring).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(PublishError::Unroutable(queue.to_owned())),
        }
    }

    /// Once a session: a broker that came back empty needs the ladder anew.
    pub(super) async fn ensure_ladder(&self) -> Result<(), PublishError> {
        let session = self.session().await?;
        let declare = || async {
            let declaring = topology::declare_ladder(&session.connection, &self.topology.queues);
            match tokio::time::timeout(LADDER_LIMIT, declaring).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(PublishError::Unavailable(format!("the delay queues: {error}"))),
                Err(_) => Err(PublishError::Unconfirmed(LADDER_LIMIT)),
            }
        };
        session.ladder.get_or_try_init(declare).await.copied()
    }
}
