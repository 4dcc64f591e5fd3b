//! Transient messages over exchanges, for Celery's events and remote control. They are neither confirmed nor stored,
//! and never delay the tasks. They are sent over the publishing connection, which a broker short of memory blocks, and
//! received over the consuming one, whose private queues are declared again after each reconnect.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ExchangeDeclareOptions,
    QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Channel, Consumer, ExchangeKind};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::exchange_publisher::ExchangePublisher;
use super::link::{Link, Session};
use super::{table, topology};
use crate::backoff::{Backoff, ShuttingDown};
use crate::broker::{BrokerError, PublishError, QueueType, TooLarge};
use crate::message::Message;

/// If the broker does not answer a method within this time, it never will.
const METHOD_LIMIT: Duration = Duration::from_secs(5);
/// Between attempts to declare a private queue. The waits grow, because the broker may still hold the queue of a
/// half-open connection, or another process may hold the name for good.
const CONSUME_AGAIN: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(10));
/// Messages received and not processed yet; the rest waits in the broker.
const PREFETCH: u16 = 50;
/// AMQP's delivery mode for messages that do not survive a restart of the broker.
const TRANSIENT: u8 = 1;

/// An exchange, declared as kombu declares it.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// Its name.
    pub name: String,
    /// The type: `direct`, `topic` or `fanout`.
    pub kind: String,
    /// Whether it survives a restart of the broker.
    pub durable: bool,
}

/// A queue of this process alone. It is deleted with its connection.
#[derive(Debug, Clone)]
pub struct PrivateQueue {
    /// Its name.
    pub name: String,
    /// The exchange it is bound to.
    pub exchange: Exchange,
    /// The routing key of the binding.
    pub key: String,
    /// How long it outlives its last consumer.
    pub expires: Duration,
    /// How long a message is kept in it.
    pub message_ttl: Duration,
}

/// What a private queue delivers.
#[derive(Debug)]
pub enum BusEvent {
    /// The queue is declared and bound, for the first time or again: from here on no message is missed.
    Bound,
    /// A message.
    Message(Box<Message>),
}

/// This client's account at the broker, without its secrets.
#[derive(Debug, Clone)]
pub struct Account {
    /// The broker's host.
    pub hostname: String,
    /// Its port.
    pub port: u16,
    /// The login.
    pub userid: String,
    /// The vhost.
    pub virtual_host: String,
    /// Whether the connection is encrypted.
    pub ssl: bool,
    /// The heartbeat interval in seconds.
    pub heartbeat: u16,
}

/// Access to exchanges.
#[derive(Debug, Clone)]
pub struct Bus {
    pub(super) publishing: Link,
    pub(super) consuming: Link,
    pub(super) account: Account,
    pub(super) publish_timeout: Duration,
}

impl Bus {
    /// This client's account at the broker.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// A sender with a channel of its own.
    pub fn sender(&self) -> BusSender {
        BusSender { link: self.publishing.clone(), channel: None }
    }

    /// A publisher to an exchange, with a channel of its own. Each message is stored and confirmed.
    pub fn publisher(&self, exchange: Exchange) -> ExchangePublisher {
        ExchangePublisher::new(self.publishing.clone(), exchange, self.publish_timeout)
    }

    /// Receives the messages of a private queue until `stop`.
    pub fn listen(&self, queue: PrivateQueue, stop: CancellationToken) -> mpsc::Receiver<BusEvent> {
        let (tell, heard) = mpsc::channel(usize::from(PREFETCH));
        tokio::spawn(hear(self.consuming.clone(), queue, tell, stop));
        heard
    }

    /// Declares a task queue as a Celery worker does when it is asked to consume an unknown one. An existing queue is
    /// used as it is.
    ///
    /// # Errors
    /// Returns an error if the broker cannot be reached, or has an exchange of the same name and another type.
    pub async fn declare_task_queue(
        &self,
        queue: &str,
        exchange: &Exchange,
        key: &str,
    ) -> Result<(), BrokerError> {
        let declaring = async {
            let session = self.consuming.session().await;
            topology::declare_queue(&session.connection, queue, QueueType::Classic).await?;
            let channel = session.connection.create_channel().await?;
            declare_exchange(&channel, exchange).await?;
            bind(&channel, queue, &exchange.name, key).await?;
            channel.close(200, "declared".into()).await
        };
        let declared = tokio::time::timeout(METHOD_LIMIT, declaring).await;
        let failed = |why: String| BrokerError::unreachable(format!("the queue {queue:.150}: {why}"));
        declared.map_err(|_| failed("no answer".to_owned()))?.map_err(|error| failed(error.to_string()))
    }
}

/// Sends messages to exchanges, one at a time.
#[derive(Debug)]
pub struct BusSender {
    link: Link,
    /// The channel, with the session it belongs to.
    channel: Option<(Arc<Session>, Channel)>,
}

impl BusSender {
    /// Sends a message without a confirm. An exchange whose type is given is declared first.
    ///
    /// # Errors
    /// Returns an error at once, without waiting, if there is no connection or the broker accepts no messages at
    /// present.
    pub async fn send(
        &mut self,
        exchange: &Exchange,
        key: &str,
        message: &Message,
    ) -> Result<(), PublishError> {
        let sent = tokio::time::timeout(METHOD_LIMIT, self.try_send(exchange, key, message)).await;
        let sent =
            sent.unwrap_or(Err(PublishError::unconfirmed(format!("no answer within {METHOD_LIMIT:?}"))));
        if sent.is_err() {
            self.channel = None;
        }
        sent
    }

    async fn try_send(
        &mut self,
        exchange: &Exchange,
        key: &str,
        message: &Message,
    ) -> Result<(), PublishError> {
        let session = self.link.present().ok_or_else(|| PublishError::unavailable(self.link.why_down()))?;
        if session.connection.status().blocked() {
            return Err(PublishError::unavailable("it accepts no messages at present"));
        }
        let channel = match self.channel.take() {
            Some((of, channel)) if Arc::ptr_eq(&of, &session) && channel.status().connected() => channel,
            _ => {
                let opening = async {
                    let channel = session.connection.create_channel().await?;
                    declare_exchange(&channel, exchange).await?;
                    Ok::<_, lapin::Error>(channel)
                };
                opening.await.map_err(PublishError::unavailable)?
            }
        };
        let properties =
            table::to_properties(message, session.frame_max()).map_err(PublishError::TooLarge)?;
        let (name, key) = (table::short(&exchange.name), table::short(key));
        let (Some(name), Some(key)) = (name, key) else {
            return Err(PublishError::TooLarge(TooLarge::Name));
        };
        let properties = properties.with_delivery_mode(TRANSIENT);
        let options = BasicPublishOptions::default();
        let sent = channel.basic_publish(name, key, options, &message.body, properties).await;
        sent.map_err(PublishError::unavailable)?;
        self.channel = Some((session, channel));
        Ok(())
    }
}

async fn hear(link: Link, queue: PrivateQueue, tell: mpsc::Sender<BusEvent>, stop: CancellationToken) {
    let mut backoff = CONSUME_AGAIN;
    loop {
        let session = tokio::select! {
            session = link.session() => session,
            () = stop.cancelled() => return,
        };
        let ended = hear_session(&session, &queue, &tell, &stop).await;
        if stop.is_cancelled() || tell.is_closed() {
            return;
        }
        match ended {
            Err(why) if !session.lost.is_cancelled() => {
                if backoff.is_fresh() {
                    tracing::warn!(
                        queue = queue.name,
                        why,
                        "the private queue cannot be consumed; another process may have this name"
                    );
                }
                if let Err(ShuttingDown) = backoff.wait(&stop).await {
                    return;
                }
            }
            _ => backoff.reset(),
        }
    }
}

/// Passes messages on until the consumer ends. Returns `Ok` if it was stopped.
async fn hear_session(
    session: &Session,
    queue: &PrivateQueue,
    tell: &mpsc::Sender<BusEvent>,
    stop: &CancellationToken,
) -> Result<(), String> {
    let opened = tokio::time::timeout(METHOD_LIMIT, open(session, queue)).await;
    let (channel, mut consumer) =
        opened.map_err(|_| "no answer".to_owned())?.map_err(|error| error.to_string())?;
    let _ = tell.send(BusEvent::Bound).await;
    let ended = loop {
        let next = tokio::select! {
            next = consumer.next() => next,
            () = session.lost.cancelled() => return Err("the connection was lost".to_owned()),
            () = stop.cancelled() => break Ok(()),
            () = tell.closed() => break Ok(()),
        };
        match next {
            Some(Ok(delivery)) => hand_on(delivery, tell, stop).await,
            Some(Err(error)) => break Err(error.to_string()),
            None => break Err("the broker cancelled the consumer".to_owned()),
        }
    };
    let _ = tokio::time::timeout(METHOD_LIMIT, channel.close(200, "no longer listening".into())).await;
    ended
}

async fn hand_on(mut delivery: Delivery, tell: &mpsc::Sender<BusEvent>, stop: &CancellationToken) {
    let message = table::to_message(&delivery.properties, std::mem::take(&mut delivery.data));
    tokio::select! {
        _ = tell.send(BusEvent::Message(Box::new(message))) => {}
        () = stop.cancelled() => {}
    }
    // Acknowledged only so that the prefetch bounds the memory in use; Celery's own consumers do not acknowledge.
    let _ = delivery.acker.ack(BasicAckOptions::default()).await;
}

async fn open(session: &Session, queue: &PrivateQueue) -> lapin::Result<(Channel, Consumer)> {
    let channel = session.connection.create_channel().await?;
    declare_exchange(&channel, &queue.exchange).await?;
    let private =
        QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
    let mut arguments = FieldTable::default();
    let milliseconds =
        |span: Duration| AMQPValue::LongInt(i32::try_from(span.as_millis()).unwrap_or(i32::MAX));
    arguments.insert("x-expires".into(), milliseconds(queue.expires));
    arguments.insert("x-message-ttl".into(), milliseconds(queue.message_ttl));
    let name = topology::name(&queue.name)?;
    channel.queue_declare(name.clone(), private, arguments).await?;
    bind(&channel, &queue.name, &queue.exchange.name, &queue.key).await?;
    channel.basic_qos(PREFETCH, BasicQosOptions { global: false }).await?;
    let tag = uuid::Uuid::new_v4().simple().to_string();
    let options = BasicConsumeOptions::default();
    let consumer = channel.basic_consume(name, tag.as_str().into(), options, FieldTable::default()).await?;
    Ok((channel, consumer))
}

/// The default exchange always exists, and an exchange without a type is declared by its owner.
pub(super) async fn declare_exchange(channel: &Channel, exchange: &Exchange) -> lapin::Result<()> {
    if exchange.name.is_empty() || exchange.kind.is_empty() {
        return Ok(());
    }
    let kind = match exchange.kind.as_str() {
        "direct" => ExchangeKind::Direct,
        "topic" => ExchangeKind::Topic,
        "fanout" => ExchangeKind::Fanout,
        "headers" => ExchangeKind::Headers,
        other => ExchangeKind::Custom(other.to_owned()),
    };
    let options = ExchangeDeclareOptions { durable: exchange.durable, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(topology::name(&exchange.name)?, kind, options, FieldTable::default()).await
}

async fn bind(channel: &Channel, queue: &str, exchange: &str, key: &str) -> lapin::Result<()> {
    let (queue, exchange, key) = (topology::name(queue)?, topology::name(exchange)?, topology::name(key)?);
    channel.queue_bind(queue, exchange, key, QueueBindOptions::default(), FieldTable::default()).await
}

impl Account {
    pub(super) fn of(uri: &AMQPUri) -> Self {
        Self {
            hostname: uri.authority.host.clone(),
            port: uri.authority.port,
            userid: uri.authority.userinfo.username.clone(),
            virtual_host: uri.vhost.clone(),
            ssl: uri.scheme == AMQPScheme::AMQPS,
            heartbeat: uri.query.heartbeat.unwrap_or(super::link::HEARTBEAT_SECS),
        }
    }
}
