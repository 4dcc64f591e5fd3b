//! Publishing: persistent, mandatory, confirmed, within a time limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ::metrics::{Histogram, histogram};
use lapin::options::BasicPublishOptions;
use lapin::types::ShortString;
use lapin::{Confirmation, ErrorKind};
use tokio::time::{Instant, timeout_at};

use super::link::{Link, Session};
use super::{ladder, table, topology};
use crate::broker::{PublishError, TooLarge, Topology};
use crate::message::Message;
use crate::metrics;

/// AMQP's delivery modes: stored on disk, and in memory only.
pub(super) const PERSISTENT: u8 = 2;
const FLEETING: u8 = 1;

pub(super) const BLOCKED: &str = "it is short of memory or disk and accepts no messages at present";

#[derive(Debug)]
pub(super) struct Publisher {
    link: Link,
    topology: Topology,
    /// The number of confirms received. A publish that timed out uses it to tell a slow broker from a dead connection.
    confirms: AtomicU64,
    /// Kept, because looking it up costs more than recording.
    took: Histogram,
}

impl Publisher {
    pub(super) fn new(link: Link, topology: Topology) -> Self {
        Self { link, topology, confirms: AtomicU64::new(0), took: histogram!(metrics::PUBLISH) }
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
            .map_err(|_| PublishError::unavailable(self.link.why_down()))
    }

    pub(super) async fn publish(
        &self,
        queue: &str,
        message: &Message,
        delay: Duration,
    ) -> Result<(), PublishError> {
        if !delay.is_zero() {
            return self.publish_later(queue, message, delay).await;
        }
        let route = || (ShortString::from(""), queue.to_owned());
        match self.send(route(), message, PERSISTENT).await {
            Err(PublishError::Unroutable(_)) => {
                // The queue was deleted while we were connected.
                self.declare_again(queue).await?;
                self.send(route(), message, PERSISTENT).await
            }
            result => result,
        }
    }

    async fn publish_later(
        &self,
        queue: &str,
        message: &Message,
        delay: Duration,
    ) -> Result<(), PublishError> {
        let asked = Instant::now();
        self.ensure_ladder().await?;
        // On the ladder, a message with an expiration earlier than the level's would move on too early.
        let lasting = message.without_expiration();
        let route = || {
            // Declaring the ladder took part of the delay. Rounded up, because a retry that arrives early may be
            // refused by the server that asked for the delay.
            let left = delay.saturating_sub(asked.elapsed());
            let seconds = u64::try_from(left.as_nanos().div_ceil(1_000_000_000)).unwrap_or(u64::MAX);
            ladder::route(queue, seconds)
        };
        match self.send(route(), &lasting, PERSISTENT).await {
            Err(PublishError::Unroutable(_)) => {
                // A level, or the queue itself, was deleted while we were connected.
                self.declare_again(queue).await?;
                let session = self.session().await?;
                self.declare_ladder(
                    &session,
                    &[self.topology.queues.as_slice(), &[queue.to_owned()]].concat(),
                )
                .await?;
                self.send(route(), &lasting, PERSISTENT).await
            }
            result => result,
        }
    }

    /// If the queue does not exist, the client no longer waits, and there is nothing to do.
    pub(super) async fn reply(&self, queue: &str, message: &Message) -> Result<(), PublishError> {
        match self.send((ShortString::from(""), queue.to_owned()), message, FLEETING).await {
            Ok(()) | Err(PublishError::Unroutable(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn send(
        &self,
        (exchange, key): (ShortString, String),
        message: &Message,
        delivery_mode: u8,
    ) -> Result<(), PublishError> {
        let limit = self.topology.publish_timeout;
        let deadline = Instant::now() + limit;
        let key_text = table::short(&key).ok_or(PublishError::TooLarge(TooLarge::Name))?;
        let session = self.session_until(deadline).await?;
        let properties =
            table::to_properties(message, session.frame_max()).map_err(PublishError::TooLarge)?;
        let properties = properties.with_delivery_mode(delivery_mode);
        if session.connection.status().blocked() {
            // The broker reads nothing from us until the alarm is over, so waiting would only end at the time limit.
            return Err(PublishError::unavailable(BLOCKED.to_owned()));
        }
        if !session.channel.status().connected() {
            session.lost.cancel();
            return Err(PublishError::unavailable("the connection was lost just now".to_owned()));
        }
        // From here on it may be sent: lapin sends what it has accepted even after our time limit.
        let began = Instant::now();
        let confirms_before = self.confirms.load(Ordering::Relaxed);
        let publishing = async {
            let mandatory = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
            let body = &message.body[..];
            session.channel.basic_publish(exchange, key_text, mandatory, body, properties).await?.await
        };
        let outcome = timeout_at(deadline, publishing).await;
        let Ok(outcome) = outcome else {
            self.suspect(&session, confirms_before);
            return Err(PublishError::unconfirmed(format!("no answer within {limit:?}")));
        };
        self.confirms.fetch_add(1, Ordering::Relaxed);
        self.took.record(began.elapsed().as_secs_f64());
        match outcome {
            Ok(Confirmation::Ack(None)) => Ok(()),
            Ok(Confirmation::Ack(Some(_))) => Err(PublishError::Unroutable(key)),
            Ok(Confirmation::Nack(_)) => {
                Err(PublishError::unconfirmed("it refused it: the queue is full, or has lost its leader"))
            }
            Ok(Confirmation::NotRequested) => {
                session.lost.cancel();
                Err(PublishError::unconfirmed("the channel is not in confirm mode".to_owned()))
            }
            Err(error) => {
                // One failed channel is reason enough to reconnect: it is the only one that publishes.
                session.lost.cancel();
                if is_about_size(&error, message.body.len()) {
                    return Err(PublishError::TooLarge(TooLarge::Body(message.body.len())));
                }
                Err(PublishError::unconfirmed(error))
            }
        }
    }

    /// There was no confirm within the whole time limit, and the broker did not report that it is blocked: packets are
    /// being lost.
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

    /// Once per session, because a broker that restarted empty needs the ladder again. From then on a task keeps it
    /// complete.
    pub(super) async fn ensure_ladder(&self) -> Result<(), PublishError> {
        let session = self.session().await?;
        let declare = || async {
            self.declare_ladder(&session, &self.topology.queues).await?;
            tokio::spawn(ladder::keep(Arc::clone(&session), self.topology.queues.clone()));
            Ok(())
        };
        session.ladder.get_or_try_init(declare).await.copied()
    }

    async fn declare_ladder(&self, session: &Session, queues: &[String]) -> Result<(), PublishError> {
        let unavailable = |why: String| PublishError::unavailable(format!("the delay queues: {why}"));
        match tokio::time::timeout(ladder::LIMIT, ladder::declare(&session.connection, queues)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(unavailable(error.to_string())),
            Err(_) => Err(unavailable(format!("not declared within {:?}", ladder::LIMIT))),
        }
    }
}

/// Whether the broker closed the channel because of a body of this size. Everything in flight on the channel gets the
/// same error, so the size identifies the message.
fn is_about_size(error: &lapin::Error, size: usize) -> bool {
    let message = match error.kind() {
        ErrorKind::ProtocolError(error) => error.get_message().as_str().to_owned(),
        _ => return false,
    };
    message.contains(&format!("message size {size} is larger"))
}
