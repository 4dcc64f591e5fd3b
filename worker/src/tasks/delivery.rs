//! One attempt to deliver a decision, and its place in the record.

use std::time::{Duration, Instant};

use common::clock::{self, Nanos};
use common::retry::RetryPolicy;
use common::tasks::deliver_callback::DeliverCallback;
use store::{Attempt, DeliveryState, RecordKey};
use task_queue::TaskContext;
use task_queue::dead_letter::{self, Reason};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::Parts;
use crate::callback::Callback;
use crate::callback::retry::{Verdict, judge};
use crate::patience::{GivenUp, until_stored};

/// How long a callback is parked: up to this, spread evenly.
const PARKED: RetryPolicy = RetryPolicy { first: Duration::from_secs(3), longest: Duration::from_secs(3) };

/// How an attempt ended.
pub(crate) enum Delivered {
    Yes,
    Later(Duration),
    /// Not even tried, because its host has all that it may have under way.
    Parked(Duration),
    Dead(Reason),
}

/// Which attempt it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    /// Of all that were made, from 1: its place in the record.
    number: u32,
    /// Of those that count, from 1: a replay begins anew.
    counted: u32,
    /// Where the window begins that it counts in.
    since: Nanos,
    /// The decision was made just now: the client is told of it however late it is, since it is never a late `allowed`.
    fresh: bool,
}

impl Turn {
    /// The `number`-th attempt of a task that may have been replayed.
    pub(crate) fn new(number: u32, start: Nanos, fresh: bool, context: &TaskContext) -> Self {
        match context.message.number_header(dead_letter::REPLAYED_AT) {
            None => Self { number, counted: number, since: start, fresh },
            Some(at_ms) => {
                let before = context.message.number_header(dead_letter::REPLAYED_RETRIES).unwrap_or(0);
                let counted = u64::from(context.retries).saturating_sub(before).saturating_add(1);
                let counted = u32::try_from(counted).unwrap_or(u32::MAX);
                Self { number, counted, since: at_ms.saturating_mul(1_000_000), fresh }
            }
        }
    }
}

/// Makes one attempt and records it.
pub(crate) async fn deliver(
    parts: &Parts,
    task: &DeliverCallback,
    turn: Turn,
    give_up: &CancellationToken,
) -> Result<Delivered, GivenUp> {
    let number = turn.number;
    let window_end = turn.since.saturating_add(clock::nanos(parts.callback_config.window));
    if !turn.fresh && clock::now() >= window_end {
        return too_late(parts, task, turn, "nobody could try before the window was over", give_up).await;
    }
    let Some(place) = parts.origins.enter(&origin_of(&task.callback_url)).await else {
        return park(parts, task, turn, window_end, give_up).await;
    };
    let callback =
        Callback { station_id: task.station_id, driver_token: &task.driver_token, status: task.status };
    let (at_ns, began) = (clock::now(), Instant::now());
    let result = parts.callbacks.attempt(&task.callback_url, task.request_id, &callback).await;
    // A host that says no is a healthy host; one that cannot be talked to is not.
    place.finish(matches!(&result, Ok(answered) if !answered.status.is_server_error()));
    let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let outcome = match &result {
        Ok(answered) => answered.status.as_u16().to_string(),
        Err(error) => error.to_string(),
    };
    let verdict = judge(&result, turn.counted, turn.since, &parts.callback_config);
    tracing::debug!(request = %task.request_id, number, outcome, ?verdict, took_ms, "callback attempt");
    let state = match verdict {
        Verdict::Delivered => DeliveryState::Delivered,
        Verdict::Again(_) => DeliveryState::Pending,
        Verdict::Never(_) => DeliveryState::Undeliverable,
    };
    let attempt = Attempt { number, at_ns, took_ms, outcome: outcome.clone() };
    record(parts, task, &attempt, state, give_up).await?;
    Ok(match verdict {
        Verdict::Delivered => Delivered::Yes,
        Verdict::Again(after) => Delivered::Later(after),
        Verdict::Never(word) => Delivered::Dead(reason(word, outcome, task, number)),
    })
}

/// Back to the broker for a moment, which is no attempt; or to the dead letters when the window is over.
async fn park(
    parts: &Parts,
    task: &DeliverCallback,
    turn: Turn,
    window_end: Nanos,
    give_up: &CancellationToken,
) -> Result<Delivered, GivenUp> {
    let after = PARKED.wait_after(1);
    let next = clock::now().saturating_add(clock::nanos(after));
    if next < window_end {
        return Ok(Delivered::Parked(after));
    }
    too_late(parts, task, turn, "its host had too much under way until the window was over", give_up).await
}

async fn too_late(
    parts: &Parts,
    task: &DeliverCallback,
    turn: Turn,
    outcome: &'static str,
    give_up: &CancellationToken,
) -> Result<Delivered, GivenUp> {
    let attempt =
        Attempt { number: turn.number, at_ns: clock::now(), took_ms: 0, outcome: outcome.to_owned() };
    record(parts, task, &attempt, DeliveryState::Undeliverable, give_up).await?;
    Ok(Delivered::Dead(reason("callback_window_over", outcome.to_owned(), task, turn.number)))
}

/// Says in the record that nobody will try any more, and why.
pub(crate) async fn undeliverable(
    parts: &Parts,
    task: &DeliverCallback,
    number: u32,
    reason: &Reason,
    give_up: &CancellationToken,
) -> Result<(), GivenUp> {
    let outcome = format!("{}: {}", reason.word, reason.detail);
    let attempt = Attempt { number, at_ns: clock::now(), took_ms: 0, outcome };
    record(parts, task, &attempt, DeliveryState::Undeliverable, give_up).await
}

async fn record(
    parts: &Parts,
    task: &DeliverCallback,
    attempt: &Attempt,
    state: DeliveryState,
    give_up: &CancellationToken,
) -> Result<(), GivenUp> {
    let key = RecordKey {
        start_ns: task.start_time_ns,
        station_id: task.station_id,
        driver_token: task.driver_token.clone(),
    };
    let records = &parts.store.records;
    until_stored(give_up, || records.attempted(&key, attempt, state)).await
}

fn reason(word: &'static str, detail: String, task: &DeliverCallback, attempts: u32) -> Reason {
    Reason::new(word, detail)
        .with(dead_letter::ATTEMPTS, attempts)
        .with(dead_letter::FIRST_AT, task.start_time_ns / 1_000_000)
        .with(dead_letter::HOST, host_of(&task.callback_url))
}

/// What places are counted by: scheme, host and port.
fn origin_of(callback_url: &str) -> String {
    Url::parse(callback_url).map(|url| url.origin().ascii_serialization()).unwrap_or_default()
}

/// What operators may see of a callback URL: not its path or query, which may hold a client's secrets.
fn host_of(callback_url: &str) -> String {
    let url = Url::parse(callback_url).ok();
    url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}
