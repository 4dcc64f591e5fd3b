//! An unacked delivery. It is settled exactly once, before its task runs or after, as the task declares.

use std::sync::Arc;

use crate::backoff::ShuttingDown;
use crate::broker::{Broker, Delivery, PublishError, Settled};
use crate::message::Message;

/// Why a delivery is not acknowledged. It is delivered again.
pub(super) enum NotAcked {
    ShuttingDown,
    /// The connection was lost.
    ConnectionLost,
    /// The message can never be published.
    Unpublished(PublishError),
}

impl From<ShuttingDown> for NotAcked {
    fn from(ShuttingDown: ShuttingDown) -> Self {
        Self::ShuttingDown
    }
}

/// A delivery, and what is needed to settle it.
pub(super) struct UnackedDelivery {
    /// `None` once it is settled.
    delivery: Option<Delivery>,
    message: Arc<Message>,
    pub(super) queue: Arc<str>,
    pub(super) deliveries: u32,
}

impl UnackedDelivery {
    pub(super) fn new(delivery: Delivery, message: &Arc<Message>) -> Self {
        let (queue, deliveries) = (Arc::clone(&delivery.queue), delivery.deliveries);
        Self { delivery: Some(delivery), message: Arc::clone(message), queue, deliveries }
    }

    /// For a task that may be lost with its worker.
    pub(super) async fn acknowledge_early(&mut self) -> Result<(), NotAcked> {
        let Some(delivery) = self.delivery.take() else { return Ok(()) };
        match delivery.ack_at_once().await {
            Ok(Settled::Done) => Ok(()),
            Ok(Settled::Stale) | Err(_) => Err(NotAcked::ConnectionLost),
        }
    }

    /// Acknowledges the delivery if the task is done, and requeues it otherwise.
    pub(super) async fn settle(self, done: Result<(), NotAcked>, broker: &Arc<dyn Broker>) {
        let message = Arc::clone(&self.message);
        let id = || format!("{:.64}", message.text_header("id").unwrap_or("-"));
        if let Err(NotAcked::Unpublished(error)) = &done {
            tracing::error!(id = id(), %error, "the outcome could not be published");
        }
        let settled = match (self.delivery, done) {
            (Some(delivery), Ok(())) => delivery.ack().await,
            (Some(delivery), Err(_)) => delivery.requeue().await,
            (None, Ok(()) | Err(NotAcked::Unpublished(_))) => return,
            (None, Err(NotAcked::ConnectionLost)) => Ok(Settled::Stale),
            // It is acknowledged but unfinished, and its worker is shutting down: only this copy of the message is
            // left.
            (None, Err(NotAcked::ShuttingDown)) => {
                let again = self.message.without_delivery_headers();
                if let Err(error) = broker.publish(&self.queue, &again, std::time::Duration::ZERO).await {
                    tracing::error!(id = id(), %error, "the task was acknowledged, was not finished, and is lost");
                }
                return;
            }
        };
        match settled {
            Ok(Settled::Done) => {}
            Ok(Settled::Stale) => tracing::info!(id = id(), "its connection was lost; the task runs again"),
            Err(error) => tracing::warn!(id = id(), %error, "the task could not be settled; it runs again"),
        }
    }
}
