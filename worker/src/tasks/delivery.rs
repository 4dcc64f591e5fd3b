//! One attempt to deliver a decision, and its place in the record.

use std::time::{Duration, Instant};

use common::clock;
use common::tasks::deliver_callback::DeliverCallback;
use store::{Attempt, DeliveryState, RecordKey};
use task_queue::dead_letter::Reason;
use tokio_util::sync::CancellationToken;

use super::Parts;
use crate::callback::Callback;
use crate::callback::retry::{Verdict, judge};
use crate::patience::{GivenUp, until_stored};

/// How an attempt ended.
pub(crate) enum Delivered {
    Yes,
    Later(Duration),
    Dead(Reason),
}

/// Makes the `number`-th attempt and records it.
pub(crate) async fn deliver(
    parts: &Parts,
    task: &DeliverCallback,
    number: u32,
    give_up: &CancellationToken,
) -> Result<Delivered, GivenUp> {
    let callback =
        Callback { station_id: task.station_id, driver_token: &task.driver_token, status: task.status };
    let (at_ns, began) = (clock::now(), Instant::now());
    let result = parts.callbacks.attempt(&task.callback_url, task.request_id, &callback).await;
    let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let outcome = match &result {
        Ok(answered) => answered.status.as_u16().to_string(),
        Err(error) => error.to_string(),
    };
    let verdict = judge(&result, number, task.start_time_ns, &parts.callback_config);
    tracing::debug!(request = %task.request_id, number, outcome, ?verdict, took_ms, "callback attempt");
    let state = match verdict {
        Verdict::Delivered => DeliveryState::Delivered,
        Verdict::Again(_) => DeliveryState::Pending,
        Verdict::Never(_) => DeliveryState::Undeliverable,
    };
    let key = RecordKey {
        start_ns: task.start_time_ns,
        station_id: task.station_id,
        driver_token: task.driver_token.clone(),
    };
    let attempt = Attempt { number, at_ns, took_ms, outcome: outcome.clone() };
    let records = &parts.store.records;
    until_stored(give_up, || records.attempted(&key, &attempt, state)).await?;
    Ok(match verdict {
        Verdict::Delivered => Delivered::Yes,
        Verdict::Again(after) => Delivered::Later(after),
        Verdict::Never(word) => Delivered::Dead(Reason::new(word, outcome)),
    })
}
