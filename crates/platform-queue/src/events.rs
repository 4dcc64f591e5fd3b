//! Publishes the events of the outbox to their exchange.

use charging::events::Event;
use charging::events::relay::Publish;
use common::error_chain::BoxError;
use task_queue::broker::{Exchange, ExchangePublisher};
use task_queue::message::{Headers, Properties};
use task_queue::{Broker, Message};

/// The topic exchange of events. A routing key is a subject and what happened to it, such as `station.updated`.
pub const EVENTS_EXCHANGE: &str = "voltgate.events";

/// The exchange, as every process declares it.
pub fn exchange() -> Exchange {
    Exchange { name: EVENTS_EXCHANGE.to_owned(), kind: "topic".to_owned(), durable: true }
}

/// Publishes events, each persistent and confirmed. The message id is the position of the event.
#[derive(Debug)]
pub struct EventPublisher(ExchangePublisher);

impl EventPublisher {
    /// A publisher on this broker; `None` if it has no exchanges. Events are then read from the outbox only.
    pub fn on(broker: &dyn Broker) -> Option<Self> {
        Some(Self(broker.bus()?.publisher(exchange())))
    }
}

impl Publish for EventPublisher {
    async fn publish(&mut self, events: &[Event]) -> Result<(), BoxError> {
        let messages: Vec<(&str, Message)> =
            events.iter().map(|event| (event.routing_key.as_str(), message(event))).collect();
        let messages: Vec<(&str, &Message)> = messages.iter().map(|(key, message)| (*key, message)).collect();
        Ok(self.0.publish_all(&messages).await?)
    }
}

fn message(event: &Event) -> Message {
    let properties = Properties {
        content_type: Some("application/json".to_owned()),
        message_id: Some(event.position.to_string()),
        timestamp: u64::try_from(event.at.millis() / 1000).ok(),
        ..Properties::default()
    };
    Message { properties, headers: Headers::new(), body: event.to_json().into() }
}
