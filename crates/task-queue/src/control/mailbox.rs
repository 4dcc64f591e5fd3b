//! The mailbox: a private queue on the exchange that broadcasts commands. Commands for this worker are run, and
//! answered if an answer is requested.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::arguments::{PythonException, is_true};
use super::{ControlState, commands, matcher};
use crate::broker::{Bus, BusEvent, Exchange, PrivateQueue};
use crate::message::{Headers, Message, Properties};
use crate::protocol::repr;

/// A command on the wire. Other fields are ignored.
#[derive(Debug, Deserialize)]
struct Command {
    #[serde(default)]
    method: Value,
    arguments: Option<Value>,
    destination: Option<Value>,
    pattern: Option<Value>,
    matcher: Option<Value>,
    ticket: Option<Value>,
    reply_to: Option<ReplyTo>,
}

#[derive(Debug, Deserialize)]
struct ReplyTo {
    exchange: String,
    routing_key: String,
}

/// A private queue, declared as kombu's mailboxes declare it.
pub(super) fn private_queue(name: String, exchange: Exchange, key: String) -> PrivateQueue {
    let (expires, message_ttl) = (Duration::from_secs(10), Duration::from_secs(300));
    PrivateQueue { name, exchange, key, expires, message_ttl }
}

/// The exchange that broadcasts commands.
pub(super) fn exchange() -> Exchange {
    Exchange { name: "celery.pidbox".to_owned(), kind: "fanout".to_owned(), durable: false }
}

/// Runs the received commands until `stop`.
pub(super) async fn serve(state: &ControlState, bus: &Bus, stop: &CancellationToken) {
    let name = format!("{}.celery.pidbox", state.node);
    let mut heard = bus.listen(private_queue(name, exchange(), String::new()), stop.clone());
    let mut sender = bus.sender();
    while let Some(heard) = heard.recv().await {
        let BusEvent::Message(message) = heard else { continue };
        let Some((reply_to, reply)) = state.handle(&message) else { continue };
        // The client has declared the exchange, and may have disconnected since.
        let exchange = Exchange { name: reply_to.exchange, kind: String::new(), durable: false };
        if let Err(error) = sender.send(&exchange, &reply_to.routing_key, &reply).await {
            tracing::debug!(%error, "an answer to remote control was not sent");
        }
    }
}

impl ControlState {
    /// The answer and its destination, if there are both.
    fn handle(&self, message: &Message) -> Option<(ReplyTo, Message)> {
        self.clock.adjust(message.number_header("clock").unwrap_or(0));
        let command = serde_json::from_slice::<Command>(&message.body)
            .inspect_err(|_| tracing::debug!("a message in the mailbox is not a command"))
            .ok()
            .filter(|command| command.is_for(self.node.as_str()))?;
        let reply = match command.run(self) {
            Ok(reply) => reply?,
            Err(PythonException(exception)) => {
                tracing::warn!(exception = format!("{exception:.200}"), "a command of remote control failed");
                json!({ "error": exception })
            }
        };
        let body = json!({ self.node.as_str(): reply });
        let headers = json!({"ticket": command.ticket, "clock": self.clock.forward()});
        Some((command.reply_to?, transient(&body, headers)))
    }
}

impl Command {
    /// An invalid command is answered with the exception that Python would raise.
    fn run(&self, state: &ControlState) -> Result<Option<Value>, PythonException> {
        let Value::String(method) = &self.method else {
            return Err(PythonException(format!("KeyError({})", repr(&self.method))));
        };
        match &self.arguments {
            Some(Value::Object(given)) => commands::run(state, method, given),
            Some(other) if is_true(other) => {
                Err(PythonException::type_error("the arguments must be a mapping"))
            }
            _ => commands::run(state, method, &Map::new()),
        }
    }

    fn is_for(&self, node: &str) -> bool {
        let text = |value: &Option<Value>| value.as_ref().and_then(Value::as_str).map(str::to_owned);
        match (&self.destination, text(&self.pattern), text(&self.matcher)) {
            (Some(Value::Array(nodes)), ..) if !nodes.is_empty() => nodes.iter().any(|name| name == node),
            (Some(Value::String(name)), ..) if !name.is_empty() => name == node,
            (_, Some(pattern), Some(matcher)) if !pattern.is_empty() && !matcher.is_empty() => {
                matcher::matches(node, &pattern, &matcher)
            }
            _ => true,
        }
    }
}

/// A message as kombu's mailboxes send it.
pub(super) fn transient(body: &Value, headers: Value) -> Message {
    let properties = Properties {
        content_type: Some("application/json".to_owned()),
        content_encoding: Some("utf-8".to_owned()),
        priority: Some(0),
        ..Properties::default()
    };
    let headers = match headers {
        Value::Object(headers) => headers,
        _ => Headers::new(),
    };
    Message { properties, headers, body: Bytes::from(body.to_string()) }
}
