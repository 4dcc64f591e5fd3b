//! Publishing to an exchange: persistent and confirmed, with several messages in flight. It is not mandatory: a message
//! that no queue is bound for is dropped by the broker, and confirmed.

use std::sync::Arc;
use std::time::Duration;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation, PublisherConfirm};
use tokio::time::timeout;

use super::bus::{Exchange, declare_exchange};
use super::link::{Link, Session};
use super::publisher::{BLOCKED, PERSISTENT};
use super::table;
use crate::broker::{PublishError, TooLarge};
use crate::message::Message;

/// Publishes to one exchange, on a channel of its own.
#[derive(Debug)]
pub struct ExchangePublisher {
    link: Link,
    exchange: Exchange,
    /// How long to wait for a session, for a channel, and for each confirm.
    limit: Duration,
    /// The channel, in confirm mode, with the session it belongs to. After an error it is dropped, so that no late confirm
    /// is taken for that of another message.
    channel: Option<(Arc<Session>, Channel)>,
}

impl ExchangePublisher {
    pub(super) fn new(link: Link, exchange: Exchange, limit: Duration) -> Self {
        Self { link, exchange, limit, channel: None }
    }

    /// Publishes a message. `Ok` means that every queue bound for it has it on disk.
    ///
    /// # Errors
    /// Returns an error if it was not confirmed; see [`PublishError::Unconfirmed`].
    pub async fn publish(&mut self, key: &str, message: &Message) -> Result<(), PublishError> {
        self.publish_all(&[(key, message)]).await
    }

    /// Publishes messages, all in flight at once. `Ok` means that every queue has those it is bound for, in this order.
    ///
    /// After an error any of them may have been published, and one may be missing before another, if the broker refused
    /// only the first. Messages whose order matters beyond that are published one after the other.
    ///
    /// # Errors
    /// Returns an error if one was not confirmed; publish all again.
    pub async fn publish_all(&mut self, messages: &[(&str, &Message)]) -> Result<(), PublishError> {
        let (session, channel) = self.open().await?;
        let exchange = table::short(&self.exchange.name).ok_or(PublishError::TooLarge(TooLarge::Name))?;
        // Nothing is sent if one of them is too large.
        let prepare = |(key, message): &(&str, &Message)| prepared(key, message, session.frame_max());
        let prepared = messages.iter().map(prepare).collect::<Result<Vec<_>, _>>();
        let prepared = prepared.map_err(PublishError::TooLarge)?;
        let mut confirms = Vec::with_capacity(messages.len());
        for ((key, properties), (_, message)) in prepared.into_iter().zip(messages) {
            let options = BasicPublishOptions::default();
            let sending = channel.basic_publish(exchange.clone(), key, options, &message.body, properties);
            confirms.push(self.limited(async { sending.await.map_err(PublishError::unconfirmed) }).await?);
        }
        for confirm in confirms {
            self.limited(confirmed(confirm)).await?;
        }
        self.channel = Some((session, channel));
        Ok(())
    }

    /// The channel of the current session. The exchange is declared when it is opened, since a broker that restarted may
    /// have lost it.
    async fn open(&mut self) -> Result<(Arc<Session>, Channel), PublishError> {
        let session = timeout(self.limit, self.link.session())
            .await
            .map_err(|_| PublishError::unavailable(self.link.why_down()))?;
        if session.connection.status().blocked() {
            return Err(PublishError::unavailable(BLOCKED));
        }
        if let Some((of, channel)) = self.channel.take()
            && Arc::ptr_eq(&of, &session)
            && channel.status().connected()
        {
            return Ok((session, channel));
        }
        let opening = async {
            let channel = session.connection.create_channel().await?;
            declare_exchange(&channel, &self.exchange).await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            Ok::<_, lapin::Error>(channel)
        };
        let opened = timeout(self.limit, opening).await;
        let opened = opened.map_err(|_| PublishError::unavailable(self.silence()))?;
        Ok((Arc::clone(&session), opened.map_err(PublishError::unavailable)?))
    }

    async fn limited<T>(
        &self,
        step: impl Future<Output = Result<T, PublishError>>,
    ) -> Result<T, PublishError> {
        timeout(self.limit, step).await.unwrap_or_else(|_| Err(PublishError::unconfirmed(self.silence())))
    }

    fn silence(&self) -> String {
        format!("no answer within {:?}", self.limit)
    }
}

fn prepared(
    key: &str,
    message: &Message,
    frame_max: usize,
) -> Result<(ShortString, BasicProperties), TooLarge> {
    let properties = table::to_properties(message, frame_max)?.with_delivery_mode(PERSISTENT);
    Ok((table::short(key).ok_or(TooLarge::Name)?, properties))
}

async fn confirmed(confirm: PublisherConfirm) -> Result<(), PublishError> {
    match confirm.await.map_err(PublishError::unconfirmed)? {
        Confirmation::Ack(_) => Ok(()),
        Confirmation::Nack(_) => {
            Err(PublishError::unconfirmed("it refused it: a queue is full, or has lost its leader"))
        }
        Confirmation::NotRequested => Err(PublishError::unconfirmed("the channel is not in confirm mode")),
    }
}
