//! One attempt to deliver a decision, and its place in the record.

use std::time::{Duration, Instant};

use common::callback_url::CallbackUrl;
use common::clock::{self, Nanos};
use common::retry::RetryPolicy;
use common::tasks::deliver_callback::{self, Counting, DeliverCallback};
use common::trace_context::TraceContext;
use reqwest::StatusCode;
use store::{Attempt, DeliveryState, RecordKey};
use task_queue::TaskContext;
use task_queue::dead_letter::{self, Reason};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::Parts;
use crate::callback::origin_limits::Place;
use crate::callback::retry::{Verdict, judge};
use crate::callback::standing::Standing;
use crate::callback::{Answered, AttemptError, Body, Callback, reasons};
use crate::measurements;
use crate::overdue;
use crate::patience::{GivenUp, until_stored};

/// The bounds of parking.
const SHORTEST_PARKED: Duration = Duration::from_secs(1);
const LONGEST_PARKED: Duration = Duration::from_secs(30);
/// What is left of the window for the last attempt.
const BEFORE_THE_END: Duration = Duration::from_millis(500);

const BUSY: &str = "its host had too much under way until the window was over";
const FAILING: &str = "its host failed others, and was left alone until the window was over";

/// How an attempt ended.
pub(crate) enum Delivered {
    Yes,
    Later(Duration),
    /// Not even tried, because its host has all that it may have under way, or is failing.
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
    /// Somebody asked for it once more: what is on record does not end it.
    redelivery: bool,
}

/// Whether a task is there because somebody asked for the delivery once more.
pub(crate) fn is_redelivery(context: &TaskContext) -> bool {
    context.message.headers.contains_key(deliver_callback::REDELIVERY_HEADER)
}

impl Turn {
    /// The `number`-th attempt to tell of a decision, of a task that may have been replayed. The window begins with the
    /// decision: while nobody could decide, nobody could call back either, and a decision that came late is `unknown`.
    pub(crate) fn new(number: u32, decided: Nanos, context: &TaskContext) -> Self {
        let header = |name: &str| context.message.number_header(name);
        let narrow = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        let since = header(deliver_callback::WINDOW_FROM_HEADER).unwrap_or(decided);
        let uncounted = narrow(header(deliver_callback::UNCOUNTED_HEADER).unwrap_or(0));
        let replayed = header(dead_letter::REPLAYED_AT).unwrap_or(0).saturating_mul(1_000_000);
        let redelivery = is_redelivery(context);
        if replayed <= since {
            return Self { number, counted: number.saturating_sub(uncounted).max(1), since, redelivery };
        }
        let before = narrow(header(dead_letter::REPLAYED_RETRIES).unwrap_or(0));
        let counted = context.retries.saturating_sub(before).saturating_add(1);
        Self { number, counted, since: replayed, redelivery }
    }

    /// What a task that follows has to know of it.
    pub(crate) fn counting(self) -> Counting {
        Counting { window_from_ns: self.since, uncounted: self.number.saturating_sub(self.counted) }
    }
}

/// Makes one attempt and records it.
pub(crate) async fn deliver(
    parts: &Parts,
    task: &DeliverCallback,
    turn: Turn,
    trace: &TraceContext,
    give_up: &CancellationToken,
) -> Result<Delivered, GivenUp> {
    let number = turn.number;
    let window_end = turn.since.saturating_add(clock::nanos(parts.callback_config.window));
    if clock::now() >= window_end {
        return too_late(parts, task, turn, "nobody could try before the window was over", give_up).await;
    }
    let Tried { result, at_ns, took } = match attempt(parts, task, trace).await {
        Turned::Tried(tried) => tried,
        Turned::LeftAlone { wait, why } => {
            return park(parts, task, turn, window_end, (wait, why), give_up).await;
        }
    };
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let outcome = match &result {
        Ok(answered) => answered.status.as_u16().to_string(),
        Err(error) => error.to_string(),
    };
    measurements::attempted(&result, took);
    let verdict = judge(&result, turn.counted, turn.since, &parts.callback_config);
    let body = result.as_ref().ok().map(|answered| &answered.body);
    tracing::debug!(request = %task.request_id, number, outcome, ?body, ?verdict, took_ms, "callback attempt");
    let state = match verdict {
        Verdict::Delivered => DeliveryState::Delivered,
        Verdict::Again(_) => DeliveryState::Pending,
        Verdict::Never(_) => DeliveryState::Undeliverable,
    };
    let attempt = Attempt { number, at_ns, took_ms, outcome: outcome.clone() };
    if let Verdict::Again(_) = verdict {
        expect(parts, task, window_end, give_up).await?;
    }
    let held = record(parts, task, &attempt, state, give_up).await?;
    if held == DeliveryState::Delivered && !turn.redelivery {
        // By this attempt, or by another worker's while this one was cut off.
        measurements::ended(true);
        return Ok(Delivered::Yes);
    }
    Ok(match verdict {
        Verdict::Delivered => Delivered::Yes,
        Verdict::Again(after) => Delivered::Later(after),
        Verdict::Never(word) => {
            measurements::ended(false);
            Delivered::Dead(reason(word, outcome, task, number))
        }
    })
}

/// An attempt that was made.
struct Tried {
    result: Result<Answered, AttemptError>,
    at_ns: Nanos,
    took: Duration,
}

enum Turned {
    Tried(Tried),
    /// The host has to be left alone for so long, at the earliest and at the latest.
    LeftAlone {
        wait: (Duration, Duration),
        why: &'static str,
    },
}

/// Calls the client back, unless its host has all that it may have under way or is known to be failing.
async fn attempt(parts: &Parts, task: &DeliverCallback, trace: &TraceContext) -> Turned {
    let not_sent =
        |error| Turned::Tried(Tried { result: Err(error), at_ns: clock::now(), took: Duration::ZERO });
    let url = match parts.callbacks.admit(&task.callback_url) {
        Ok(url) => url,
        Err(refused) => return not_sent(refused),
    };
    let standing = parts.standings.of(&url).await;
    match standing {
        Standing::Gone => return not_sent(AttemptError::Gone),
        Standing::Open(open_for) => {
            let (_, longer) = parts.origins.turn_away(url.origin());
            return Turned::LeftAlone { wait: (open_for, open_for + longer), why: FAILING };
        }
        Standing::Clear | Standing::Probe { .. } => {}
    }
    let origin = url.origin();
    let tried = match parts.origins.enter(origin).await {
        Some(place) => attempt_at(parts, task, &url, place, standing, trace).await,
        None => None,
    };
    match tried {
        Some(tried) => {
            parts.standings.after(&url, standing, &tried.result).await;
            Turned::Tried(tried)
        }
        None => {
            parts.standings.not_tried(&url, standing).await;
            Turned::LeftAlone { wait: parts.origins.turn_away(origin), why: BUSY }
        }
    }
}

/// Nothing where the host's address has all that it may have under way.
async fn attempt_at(
    parts: &Parts,
    task: &DeliverCallback,
    url: &CallbackUrl,
    place: Place,
    standing: Standing,
    trace: &TraceContext,
) -> Option<Tried> {
    let callback =
        Callback { station_id: task.station_id, driver_token: &task.driver_token, status: task.status };
    // On the one probe of a failing host depends whether it is left alone any longer.
    let well = place.is_well() || matches!(standing, Standing::Probe { .. });
    let (at_ns, began) = (clock::now(), Instant::now());
    let result = parts.callbacks.attempt(url, well, task.request_id, &callback, trace).await;
    let took = began.elapsed();
    if matches!(result, Err(AttemptError::Crowded)) {
        return None;
    }
    place.finish(wants_as_much(&result));
    Some(Tried { result, at_ns, took })
}

/// A host that says no is a healthy host; one that cannot be talked to, or says that it is too much, is not. Nor is one whose
/// answers are not over in time: each keeps its slot for the whole time limit.
fn wants_as_much(result: &Result<Answered, AttemptError>) -> bool {
    let too_much = |status: StatusCode| status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
    matches!(result, Ok(answered) if !too_much(answered.status) && answered.body != Body::TooSlow)
}

/// Back to the broker for a while, which is no attempt; or to the dead letters when the window is over.
async fn park(
    parts: &Parts,
    task: &DeliverCallback,
    turn: Turn,
    window_end: Nanos,
    ((earliest, latest), why): ((Duration, Duration), &'static str),
    give_up: &CancellationToken,
) -> Result<Delivered, GivenUp> {
    let longest = LONGEST_PARKED.min(parts.callback_config.window / 4);
    let (earliest, latest) = (earliest.min(longest / 2), latest.min(longest));
    // Spread, so that those which were parked together do not come back together.
    let spread = latest.saturating_sub(earliest);
    let after = earliest + RetryPolicy { first: spread, longest: spread }.wait_after(1);
    // The last time right before the end, which is better than never again. The broker counts in whole seconds, rounded up.
    let last = Duration::from_secs(clock::until(window_end).saturating_sub(BEFORE_THE_END).as_secs());
    if last < SHORTEST_PARKED {
        return too_late(parts, task, turn, why, give_up).await;
    }
    expect(parts, task, window_end, give_up).await?;
    measurements::parked(if why == FAILING { "failing" } else { "busy" });
    Ok(Delivered::Parked(after.clamp(SHORTEST_PARKED, last)))
}

/// Before a further message is published, so that its loss is noticed.
async fn expect(
    parts: &Parts,
    task: &DeliverCallback,
    window_end: Nanos,
    give_up: &CancellationToken,
) -> Result<(), GivenUp> {
    let over_by = overdue::over_by(window_end, parts.callback_config.window);
    until_stored(give_up, || parts.store.overdue.expect(task.request_id, over_by)).await
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
    let held = record(parts, task, &attempt, DeliveryState::Undeliverable, give_up).await?;
    if held == DeliveryState::Delivered && !turn.redelivery {
        return Ok(Delivered::Yes);
    }
    measurements::ended(false);
    Ok(Delivered::Dead(reason(reasons::WINDOW_OVER, outcome.to_owned(), task, turn.number)))
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
    record(parts, task, &attempt, DeliveryState::Undeliverable, give_up).await?;
    measurements::ended(false);
    Ok(())
}

async fn record(
    parts: &Parts,
    task: &DeliverCallback,
    attempt: &Attempt,
    state: DeliveryState,
    give_up: &CancellationToken,
) -> Result<DeliveryState, GivenUp> {
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

/// What operators may see of a callback URL: not its path or query, which may hold a client's secrets.
fn host_of(callback_url: &str) -> String {
    let url = Url::parse(callback_url).ok();
    url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}
