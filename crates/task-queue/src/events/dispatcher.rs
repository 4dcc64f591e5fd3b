//! Sends the recorded events: those of the worker one by one, those of tasks in batches under `task.multi`, as Celery
//! does.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{BUFFER, Event, Events};
use crate::broker::{Bus, BusSender, Exchange, PublishError};
use crate::message::{Headers, Message, Properties};

/// The maximum number of task events in one message.
const BATCH: usize = 24;
/// Between two attempts while the broker cannot be reached.
const WAIT: Duration = Duration::from_millis(500);
/// How long sending the last events may take at the end.
const FAREWELL: Duration = Duration::from_secs(1);

/// The exchange of events.
pub(crate) fn exchange() -> Exchange {
    Exchange { name: "celeryev".to_owned(), kind: "topic".to_owned(), durable: true }
}

/// Sends events until `stop`, and then those recorded before it.
pub(crate) async fn dispatch(events: &Events, bus: &Bus, stop: &CancellationToken) {
    let mut sender = bus.sender();
    loop {
        let sent = send_all(events, &mut sender).await;
        if stop.is_cancelled() {
            break;
        }
        if let Err(error) = sent {
            tracing::debug!(%error, "events cannot be sent yet and are buffered");
            let _ = tokio::time::timeout(WAIT, stop.cancelled()).await;
        } else {
            tokio::select! {
                () = events.recorded.notified() => {}
                () = stop.cancelled() => {}
            }
        }
    }
    let _ = tokio::time::timeout(FAREWELL, send_all(events, &mut sender)).await;
}

async fn send_all(events: &Events, sender: &mut BusSender) -> Result<(), PublishError> {
    loop {
        let batch = next_batch(events);
        let Some(first) = batch.first() else { return Ok(()) };
        let (key, body) = if first.is_of_task() {
            ("task.multi".to_owned(), batch.iter().map(|event| json!(event.body)).collect())
        } else {
            (first.kind.replace('-', "."), json!(first.body))
        };
        match sender.send(&exchange(), &key, &message(events, &body)).await {
            Ok(()) => {}
            Err(PublishError::TooLarge(why)) => tracing::warn!(%why, "events are too large to be sent"),
            Err(error) => {
                keep(events, batch);
                return Err(error);
            }
        }
    }
}

/// The events of the next message.
fn next_batch(events: &Events) -> Vec<Event> {
    events.with_buffer(|buffer| {
        let tasks = buffer.iter().take(BATCH).take_while(|event| event.is_of_task()).count();
        buffer.drain(..tasks.max(1).min(buffer.len())).collect()
    })
}

/// Puts events back at the front, as far as there is room: those recorded meanwhile are newer.
fn keep(events: &Events, batch: Vec<Event>) {
    let wanted = events.sends_task_events();
    events.with_buffer(|buffer| {
        let again = batch.into_iter().rev().filter(|event| wanted || !event.is_of_task());
        for event in again.take(BUFFER - buffer.len()) {
            buffer.push_front(event);
        }
    });
}

fn message(events: &Events, body: &Value) -> Message {
    let properties = Properties {
        content_type: Some("application/json".to_owned()),
        content_encoding: Some("utf-8".to_owned()),
        priority: Some(0),
        ..Properties::default()
    };
    let headers = Headers::from_iter([("hostname".to_owned(), json!(events.node.as_str()))]);
    Message { properties, headers, body: Bytes::from(body.to_string()) }
}
