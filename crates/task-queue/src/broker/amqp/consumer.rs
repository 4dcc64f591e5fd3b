//! Consuming: one channel per queue, with its own prefetch, opened again whenever it ends.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::acks::{AckChannel, AckFlusher, AckTag};
use super::link::{Link, Session};

use super::{ladder, table, topology};
use crate::broker::{Deliveries, Delivery, Settle, Topology};

/// Between attempts on a working connection, for instance while the queue is being deleted.
const WAIT: Duration = Duration::from_millis(500);
/// If the broker does not answer a method within this time, it never will.
const METHOD_LIMIT: Duration = Duration::from_secs(5);

/// How often to check that the broker still knows the consumer. Seen on RabbitMQ 3.10: if a quorum queue is deleted and
/// declared again within milliseconds, its consumer is neither cancelled nor receives messages.
const PROBE_EVERY: Duration = Duration::from_secs(5);

struct Subscription {
    topology: Topology,
    queue: Arc<str>,
    prefetch: watch::Receiver<u16>,
    flusher: AckFlusher,
    tell: mpsc::Sender<Delivery>,
    stop: CancellationToken,
}

pub(super) fn start(
    link: Link,
    topology: Topology,
    queue: &str,
    prefetch: watch::Receiver<u16>,
    flusher: AckFlusher,
    stop: CancellationToken,
) -> Deliveries {
    let (tell, deliveries) = mpsc::channel(usize::from(*prefetch.borrow()).max(1));
    let subscription = Subscription { topology, queue: queue.into(), prefetch, flusher, tell, stop };
    tokio::spawn(subscription.run(link));
    deliveries
}

impl Subscription {
    async fn run(self, link: Link) {
        loop {
            let session = tokio::select! {
                session = link.session() => session,
                () = self.stop.cancelled() => return,
            };
            if let Err(error) = self.consume(&session).await {
                tracing::warn!(queue = %self.queue, error, "consuming was interrupted; starting again");
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(WAIT), if !session.lost.is_cancelled() => {}
                () = session.lost.cancelled() => {}
            }
        }
    }

    /// Passes deliveries on until the consumer ends. Returns `Ok` if it was stopped.
    async fn consume(&self, session: &Session) -> Result<(), String> {
        // Before the value is read, so that a change in between is not missed.
        let mut prefetch = self.prefetch.clone();
        prefetch.mark_unchanged();
        let opened = tokio::time::timeout(METHOD_LIMIT, self.open(session)).await;
        let (channel, mut consumer) = match opened {
            Ok(opened) => opened.map_err(|error| error.to_string())?,
            Err(_) => {
                session.lost.cancel();
                return Err("the broker did not answer".to_owned());
            }
        };
        // Cancelled with the channel, not only with the connection, so that no delivery of a closed channel is begun.
        let acks = Arc::new(self.flusher.channel(channel.clone(), session.lost.child_token()));
        acks.set_prefetch(*prefetch.borrow());
        let (mut delivered, mut delivered_before) = (0u64, 0);
        let mut probe = tokio::time::interval_at(Instant::now() + PROBE_EVERY, PROBE_EVERY);
        let ended = loop {
            tokio::select! {
                _ = probe.tick() => match self.probe(session).await {
                    // With nothing in flight, the ready messages should have been delivered.
                    Ok(ready) if ready > 0 && delivered == delivered_before && Arc::strong_count(&acks) == 1 => {
                        break Err("messages are ready and the broker delivers none".to_owned());
                    }
                    Ok(_) => delivered_before = delivered,
                    Err(why) => break Err(why),
                },
                Ok(()) = prefetch.changed() => {
                    acks.set_prefetch(*prefetch.borrow());
                    match self.consume_anew(&channel, &mut consumer, &acks).await {
                        Ok(anew) => consumer = anew,
                        Err(why) => break Err(why),
                    }
                }
                () = self.stop.cancelled() => break Ok(()),
                () = session.lost.cancelled() => break Err("the connection was lost".to_owned()),
                next = consumer.next() => match next {
                    Some(Ok(delivery)) => {
                        delivered += 1;
                        self.hand_on(delivery, &acks).await;
                    }
                    Some(Err(error)) => break Err(error.to_string()),
                    // Polling the stream again would wait for ever.
                    None => break Err("the broker cancelled the consumer".to_owned()),
                },
            }
        };
        if ended.is_ok() {
            // The channel stays open as long as deliveries of it are in flight.
            let cancelling = channel.basic_cancel(consumer.tag(), BasicCancelOptions::default());
            let _ = tokio::time::timeout(METHOD_LIMIT, cancelling).await;
        } else {
            acks.lost().cancel();
            let _ = tokio::time::timeout(METHOD_LIMIT, channel.close(200, "beginning again".into())).await;
        }
        ended
    }

    /// The number of ready messages. Also detects a connection that is open on our side only.
    async fn probe(&self, session: &Session) -> Result<u32, String> {
        match tokio::time::timeout(METHOD_LIMIT, topology::state(&session.connection, &self.queue)).await {
            Ok(Ok(state)) if state.consumers > 0 => Ok(state.ready),
            Ok(Ok(_)) => Err("the broker no longer knows the consumer".to_owned()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => {
                session.lost.cancel();
                Err("the broker did not answer".to_owned())
            }
        }
    }

    async fn open(&self, session: &Session) -> lapin::Result<(Channel, Consumer)> {
        topology::declare_queue(&session.connection, &self.queue, self.topology.queue_type).await?;
        ladder::rejoin(&session.connection, &self.queue).await?;
        let channel = session.connection.create_channel().await?;
        let consumer = self.begin(&channel).await?;
        Ok((channel, consumer))
    }

    async fn begin(&self, channel: &Channel) -> lapin::Result<Consumer> {
        let prefetch = *self.prefetch.borrow();
        channel.basic_qos(prefetch, BasicQosOptions { global: false }).await?;
        let tag = format!("{}.{}", self.topology.name, uuid::Uuid::new_v4().simple());
        let options = BasicConsumeOptions::default();
        channel
            .basic_consume((&*self.queue).into(), tag.as_str().into(), options, FieldTable::default())
            .await
    }

    /// A new prefetch applies to consumers that begin after it was set. Deliveries in flight are unaffected, because
    /// the channel is the same.
    async fn consume_anew(
        &self,
        channel: &Channel,
        consumer: &mut Consumer,
        acks: &Arc<AckChannel>,
    ) -> Result<Consumer, String> {
        let beginning = async {
            channel.basic_cancel(consumer.tag(), BasicCancelOptions::default()).await?;
            while let Some(delivery) = consumer.next().await {
                self.hand_on(delivery?, acks).await;
            }
            self.begin(channel).await
        };
        match tokio::time::timeout(METHOD_LIMIT, beginning).await {
            Ok(begun) => begun.map_err(|error: lapin::Error| error.to_string()),
            Err(_) => Err("the broker did not answer".to_owned()),
        }
    }

    /// The channel to the worker has room for a whole prefetch, so this waits only if the worker has ended.
    async fn hand_on(&self, mut delivery: lapin::message::Delivery, acks: &Arc<AckChannel>) {
        let message = table::to_message(&delivery.properties, std::mem::take(&mut delivery.data));
        // Quorum queues count deliveries; a classic queue only marks redeliveries.
        let before = message.number_header("x-delivery-count").unwrap_or(u64::from(delivery.redelivered));
        acks.delivered(delivery.delivery_tag);
        let settle = Settle::Amqp(AckTag { tag: delivery.delivery_tag, acks: Arc::clone(acks) });
        let delivery = Delivery {
            message,
            queue: Arc::clone(&self.queue),
            deliveries: u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1),
            settle,
        };
        let _ = self.tell.send(delivery).await;
    }
}
