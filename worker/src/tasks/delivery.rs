//! One attempt to deliver a decision, and its entry in the record.

use std::time::{Duration, Instant};

use authorization::tasks::deliver_callback::DeliverCallback;
use authorization::{Abandoned, retry_until_stored};
use common::callback_url::CallbackUrl;
use common::clock::{self, Nanos};
use reqwest::StatusCode;
use service_runtime::retry::RetryPolicy;
use service_runtime::trace_context::TraceContext;
use store::{Attempt, AttemptOutcome, DeliveryState, RecordKey};
use task_queue::dead_letter::{self, DeadLetter, DeadReasonCode};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::Parts;
use super::attempt_number::AttemptNumber;
use crate::callback::circuit_breaker::Breaker;
use crate::callback::origin_limits::Permit;
use crate::callback::retry::{Verdict, judge};
use crate::callback::{Answered, AttemptError, Body, Callback, UndeliverableReason};
use crate::measurements;
use crate::overdue;

/// The bounds of a deferral.
const MIN_DEFERRED: Duration = Duration::from_secs(1);
const MAX_DEFERRED: Duration = Duration::from_secs(30);
/// The time left in the window for the last attempt.
const BEFORE_THE_END: Duration = Duration::from_millis(500);

/// Why an attempt was not made.
#[derive(Debug, Clone, Copy)]
enum BackOffReason {
    /// The host has too much in flight.
    Busy,
    /// The breaker of the origin is open.
    Failing,
}

impl BackOffReason {
    /// The value of the metric's label.
    fn label(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Failing => "failing",
        }
    }

    /// The outcome on record if the window ends meanwhile.
    fn outcome(self) -> &'static str {
        match self {
            Self::Busy => "its host had too much in flight until the window was over",
            Self::Failing => "its host was failing, and was not called until the window was over",
        }
    }
}

/// What follows from a run of the task.
pub(super) enum DeliveryOutcome {
    Delivered,
    /// The attempt failed; the next one is due after this time.
    Again(Duration),
    /// No attempt was made, because the host is busy or failing; try after this time.
    Deferred(Duration),
    Dead(DeadLetter),
}

/// Makes one attempt and records it.
pub(super) async fn deliver(
    parts: &Parts,
    task: &DeliverCallback,
    this: AttemptNumber,
    trace: &TraceContext,
    cancel: &CancellationToken,
) -> Result<DeliveryOutcome, Abandoned> {
    let number = this.number;
    let window_end = this.since.saturating_add(clock::nanos(parts.callback_config.window));
    if clock::now() >= window_end {
        return too_late(parts, task, this, "no attempt was possible before the window was over", cancel)
            .await;
    }
    let MadeAttempt { result, at_ns, took } = match attempt(parts, task, trace).await {
        AttemptStep::Made(made) => made,
        AttemptStep::BackedOff { wait, why } => {
            return defer(parts, task, this, window_end, (wait, why), cancel).await;
        }
    };
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let outcome = match &result {
        Ok(answered) => AttemptOutcome::Status(answered.status.as_u16()),
        Err(error) => AttemptOutcome::failed(error),
    };
    measurements::attempted(&result, took);
    let verdict = judge(&result, this.counted, this.since, &parts.callback_config);
    let body = result.as_ref().ok().map(|answered| &answered.body);
    tracing::debug!(request = %task.request_id, number, %outcome, ?body, ?verdict, took_ms, "callback attempt");
    let state = match verdict {
        Verdict::Delivered => DeliveryState::Delivered,
        Verdict::Again(_) => DeliveryState::Pending,
        Verdict::Never(_) => DeliveryState::Undeliverable,
    };
    let attempt = Attempt { number, at_ns, took_ms, outcome: outcome.clone() };
    if let Verdict::Again(_) = verdict {
        expect(parts, task, window_end, cancel).await?;
    }
    let recorded = record(parts, task, &attempt, state, cancel).await?;
    if recorded == DeliveryState::Delivered && !this.redelivery {
        // By this attempt, or by another worker's attempt after this one was interrupted.
        measurements::ended(true);
        return Ok(DeliveryOutcome::Delivered);
    }
    Ok(match verdict {
        Verdict::Delivered => DeliveryOutcome::Delivered,
        Verdict::Again(after) => DeliveryOutcome::Again(after),
        Verdict::Never(why) => {
            measurements::ended(false);
            DeliveryOutcome::Dead(dead_letter(why.into(), outcome.to_string(), task, number))
        }
    })
}

/// An attempt that was made.
struct MadeAttempt {
    result: Result<Answered, AttemptError>,
    at_ns: Nanos,
    took: Duration,
}

enum AttemptStep {
    Made(MadeAttempt),
    /// No attempt was made. Defer the delivery, within these bounds.
    BackedOff {
        wait: (Duration, Duration),
        why: BackOffReason,
    },
}

/// Calls the client back, unless its host is busy or failing.
async fn attempt(parts: &Parts, task: &DeliverCallback, trace: &TraceContext) -> AttemptStep {
    let not_sent = |error| {
        AttemptStep::Made(MadeAttempt { result: Err(error), at_ns: clock::now(), took: Duration::ZERO })
    };
    let url = match parts.callbacks.admit(&task.callback_url) {
        Ok(url) => url,
        Err(refused) => return not_sent(refused),
    };
    let breaker = parts.breakers.admit(&url).await;
    match breaker {
        Breaker::Gone => return not_sent(AttemptError::Gone),
        Breaker::Open(open_for) => {
            let (_, longer) = parts.origins.back_off(url.origin());
            return AttemptStep::BackedOff {
                wait: (open_for, open_for + longer),
                why: BackOffReason::Failing,
            };
        }
        Breaker::Closed | Breaker::HalfOpen { .. } => {}
    }
    let origin = url.origin();
    let made = match parts.origins.enter(origin).await {
        Some(permit) => attempt_at(parts, task, &url, permit, breaker, trace).await,
        None => None,
    };
    match made {
        Some(made) => {
            parts.breakers.report(&url, breaker, &made.result).await;
            AttemptStep::Made(made)
        }
        None => {
            parts.breakers.release(&url, breaker).await;
            AttemptStep::BackedOff { wait: parts.origins.back_off(origin), why: BackOffReason::Busy }
        }
    }
}

/// `None` if the host's address is at its limit.
async fn attempt_at(
    parts: &Parts,
    task: &DeliverCallback,
    url: &CallbackUrl,
    permit: Permit,
    breaker: Breaker,
    trace: &TraceContext,
) -> Option<MadeAttempt> {
    let callback =
        Callback { station_id: task.station_id, driver_token: &task.driver_token, status: task.status };
    // The probe is preferred too, because the breaker depends on it.
    let healthy = permit.is_healthy() || matches!(breaker, Breaker::HalfOpen { .. });
    let (at_ns, began) = (clock::now(), Instant::now());
    let result = parts.callbacks.attempt(url, healthy, task.request_id, &callback, trace).await;
    let took = began.elapsed();
    if matches!(result, Err(AttemptError::Crowded)) {
        return None;
    }
    permit.finish(is_healthy(&result));
    Some(MadeAttempt { result, at_ns, took })
}

/// A host that rejects a callback is healthy. A host that cannot be reached, is overloaded, or does not end its answers
/// in time is not: each call to it keeps its slot for the whole time limit.
fn is_healthy(result: &Result<Answered, AttemptError>) -> bool {
    let too_much = |status: StatusCode| status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
    matches!(result, Ok(answered) if !too_much(answered.status) && answered.body != Body::TooSlow)
}

/// Returns the delivery to the broker for a while, which is not an attempt. It is dead-lettered if the window ends
/// first.
async fn defer(
    parts: &Parts,
    task: &DeliverCallback,
    this: AttemptNumber,
    window_end: Nanos,
    ((earliest, latest), why): ((Duration, Duration), BackOffReason),
    cancel: &CancellationToken,
) -> Result<DeliveryOutcome, Abandoned> {
    let max = MAX_DEFERRED.min(parts.callback_config.window / 4);
    let (earliest, latest) = (earliest.min(max / 2), latest.min(max));
    // Random, so that deliveries that were deferred together do not return together.
    let spread = latest.saturating_sub(earliest);
    let after = earliest + RetryPolicy { initial: spread, max: spread }.wait_after(1);
    // The last attempt is made right before the window ends. The broker counts in whole seconds, rounded up.
    let last = Duration::from_secs(clock::until(window_end).saturating_sub(BEFORE_THE_END).as_secs());
    if last < MIN_DEFERRED {
        return too_late(parts, task, this, why.outcome(), cancel).await;
    }
    expect(parts, task, window_end, cancel).await?;
    measurements::deferred(why.label());
    Ok(DeliveryOutcome::Deferred(after.clamp(MIN_DEFERRED, last)))
}

/// Called before a further message is published, so that the loss of that message is noticed.
async fn expect(
    parts: &Parts,
    task: &DeliverCallback,
    window_end: Nanos,
    cancel: &CancellationToken,
) -> Result<(), Abandoned> {
    let over_by = overdue::over_by(window_end, parts.callback_config.window);
    retry_until_stored(cancel, || parts.store.overdue().expect(task.request_id, over_by)).await
}

async fn too_late(
    parts: &Parts,
    task: &DeliverCallback,
    this: AttemptNumber,
    outcome: &'static str,
    cancel: &CancellationToken,
) -> Result<DeliveryOutcome, Abandoned> {
    let attempt = Attempt {
        number: this.number,
        at_ns: clock::now(),
        took_ms: 0,
        outcome: AttemptOutcome::Failed { class: outcome.to_owned(), detail: String::new() },
    };
    let recorded = record(parts, task, &attempt, DeliveryState::Undeliverable, cancel).await?;
    if recorded == DeliveryState::Delivered && !this.redelivery {
        return Ok(DeliveryOutcome::Delivered);
    }
    measurements::ended(false);
    Ok(DeliveryOutcome::Dead(dead_letter(
        UndeliverableReason::WindowOver.into(),
        outcome.to_owned(),
        task,
        this.number,
    )))
}

/// Records that no further attempt is made, and why.
pub(super) async fn undeliverable(
    parts: &Parts,
    task: &DeliverCallback,
    number: u32,
    letter: &DeadLetter,
    cancel: &CancellationToken,
) -> Result<(), Abandoned> {
    let outcome =
        AttemptOutcome::Failed { class: letter.reason.as_str().to_owned(), detail: letter.detail.clone() };
    let attempt = Attempt { number, at_ns: clock::now(), took_ms: 0, outcome };
    record(parts, task, &attempt, DeliveryState::Undeliverable, cancel).await?;
    measurements::ended(false);
    Ok(())
}

async fn record(
    parts: &Parts,
    task: &DeliverCallback,
    attempt: &Attempt,
    state: DeliveryState,
    cancel: &CancellationToken,
) -> Result<DeliveryState, Abandoned> {
    let key = RecordKey {
        start_ns: task.start_time_ns,
        station_id: task.station_id,
        driver_token: task.driver_token.clone(),
    };
    let records = &parts.store.records();
    retry_until_stored(cancel, || records.attempted(&key, attempt, state)).await
}

fn dead_letter(reason: DeadReasonCode, detail: String, task: &DeliverCallback, attempts: u32) -> DeadLetter {
    DeadLetter::new(reason, detail)
        .with(dead_letter::ATTEMPTS, attempts)
        .with(dead_letter::FIRST_AT, task.start_time_ns / 1_000_000)
        .with(dead_letter::HOST, host_of(&task.callback_url))
}

/// The part of a callback URL that operators may see: not its path or query, which may contain a client's secrets.
fn host_of(callback_url: &str) -> String {
    let url = Url::parse(callback_url).ok();
    url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}
