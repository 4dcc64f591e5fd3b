//! `GET /requests/{request_id}`: the state of a request; and the redelivery of its decision.

pub(crate) mod list;
mod moment;
pub(crate) mod stream;
mod timestamp;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::http::header::LOCATION;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use common::clock::Nanos;
use common::decision::{Decision, Source};
use common::ids::{NotUuid, PresentedToken, RequestId, StationId};
use http_server::Problem;
use http_server::observation::trace_of;
use http_server::openapi::refusals::{Conflict, Invalid, NotFound, Unavailable};
use serde::Serialize;
use store::{Accepted, Attempt, AttemptOutcome, DeliveryState, Known, Record};
use utoipa::ToSchema;

use self::moment::Moment;
use crate::acceptance::Acceptance;
use crate::error::ApiError;

/// A request younger than this may have been accepted by another process that has not written its note yet.
const YOUNG: Duration = Duration::from_secs(2);
/// How long a request may wait for a worker. An outage that lasts longer needs no message of its own.
const MAY_WAIT: Duration = Duration::from_secs(3600);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// Number of look-ups, until the request is no longer young.
const LOOKS: usize = 20;

/// Where a request stands: it waits for a worker (`accepted`), is decided and is being called back (`decided`), or its
/// delivery has ended (`delivered`, `undeliverable`)
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum State {
    Accepted,
    Decided,
    Delivered,
    Undeliverable,
}

/// A request. Fields that are unknown before the decision are null until then
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Request)]
pub(crate) struct RequestView {
    request_id: RequestId,
    state: State,
    station_id: StationId,
    driver_token: PresentedToken,
    /// The decision: may the driver charge at the station?
    #[schema(required)]
    status: Option<Decision>,
    #[schema(required)]
    callback_url: Option<String>,
    /// The outcome of the last attempt to deliver the decision: an HTTP status such as `200`, an error, or `pending`
    callback_status: String,
    /// How far the delivery of the decision to the callback URL has come
    delivery: DeliveryState,
    /// The client's call, in nanoseconds since 1970
    start_time_ns: Nanos,
    /// The same in RFC 3339
    #[schema(value_type = String, format = "date-time")]
    start_time: Moment,
    /// The time after which the decision is `unknown`, in nanoseconds since 1970
    #[schema(required)]
    deadline_ns: Option<Nanos>,
    /// The same in RFC 3339
    #[schema(required, value_type = Option<String>, format = "date-time")]
    deadline: Option<Moment>,
    /// When it was decided, in nanoseconds since 1970
    #[schema(required)]
    decided_ns: Option<Nanos>,
    /// The same in RFC 3339
    #[schema(required, value_type = Option<String>, format = "date-time")]
    decided: Option<Moment>,
    /// Which way the request came in
    source: Source,
    /// What a charger was answered, where that is not the decision (OCPP's `AuthorizationStatus`)
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<String>,
    /// Why
    #[serde(skip_serializing_if = "Option::is_none")]
    answer_reason: Option<String>,
    attempts: Vec<AttemptView>,
}

/// One attempt to deliver the decision
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Attempt)]
struct AttemptView {
    /// Counted by the worker from 1. If two workers made the same attempt, the second gets the next free number
    number: u32,
    /// When it began, in nanoseconds since 1970
    at_ns: Nanos,
    /// The same in RFC 3339
    #[schema(value_type = String, format = "date-time")]
    at: Moment,
    /// How long it took, in milliseconds
    took_ms: u64,
    /// The HTTP status, or the class of the error and its text. It never contains a response's body
    #[schema(value_type = String)]
    outcome: AttemptOutcome,
}

/// Show a request
#[utoipa::path(get, path = "/requests/{request_id}", operation_id = "show_request", tag = "requests", params(("request_id" = RequestId, Path)),
    responses((status = 200, description = "The request", body = RequestView), Invalid, NotFound, Unavailable))]
pub(crate) async fn show(acceptance: Data<Acceptance>, path: Path<String>) -> Result<HttpResponse, ApiError> {
    let shown = match look_up(&acceptance, request_id(&path)?).await? {
        Known::Accepted(accepted) => RequestView::from(accepted),
        Known::Decided(record) => RequestView::from(record),
    };
    Ok(HttpResponse::Ok().json(shown))
}

/// The accepted redelivery
#[derive(Serialize, ToSchema)]
#[schema(as = Redelivering)]
pub(crate) struct Redelivery {
    /// `accepted`
    status: &'static str,
    message: &'static str,
    request_id: RequestId,
}

/// Redeliver a decision
///
/// Sends the same decision again, with the same `webhook-id` and a delivery window of its own. Returns 409 if the
/// request is not decided yet.
#[utoipa::path(post, path = "/requests/{request_id}/redeliver", operation_id = "redeliver", tag = "requests",
    params(("request_id" = RequestId, Path)),
    responses((status = 202, description = "The broker has confirmed the delivery", body = Redelivery,
        headers(("Location" = String, description = "The URL of the request"))), Invalid, NotFound,
        Conflict, Unavailable))]
pub(crate) async fn redeliver(
    acceptance: Data<Acceptance>,
    path: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let request_id = request_id(&path)?;
    let Known::Decided(record) = look_up(&acceptance, request_id).await? else {
        let detail = "it is not decided yet, and will be called back as soon as it is; \
                      redeliver it once its `state` is no longer `accepted`";
        return Err(Problem::conflict("request_id", detail).into());
    };
    acceptance.redeliver(record, &trace_of(&request)).await?;
    let redelivery =
        Redelivery { status: "accepted", message: "The decision is being sent once more.", request_id };
    Ok(HttpResponse::Accepted().insert_header((LOCATION, format!("/requests/{request_id}"))).json(redelivery))
}

fn request_id(path: &str) -> Result<RequestId, Problem> {
    path.parse().map_err(|error: NotUuid| Problem::invalid("request_id", error.to_string()))
}

/// Finds a request from the moment it was answered `202`.
async fn look_up(acceptance: &Acceptance, request: RequestId) -> Result<Known, ApiError> {
    for look in 1..=LOOKS {
        // The order matters: a request that no longer waits for its note is in the store.
        let noted = acceptance.notes.find(request);
        let known = acceptance.store.records().look_up(request).await.map_err(ApiError::Store)?;
        if let Some(known) = known.or(noted.map(Known::Accepted)) {
            return Ok(known);
        }
        if look == LOOKS || age(request).is_none_or(|age| age >= YOUNG) {
            break;
        }
        tokio::time::sleep(LOOK_AGAIN_AFTER).await;
    }
    // A process that was killed right after a 202 has written no note. The request is known once a worker takes it.
    let missing = match age(request) {
        Some(age) if age < MAY_WAIT => "no worker has taken it yet, or there never was such a request",
        _ => "its record has expired, or there never was such a request",
    };
    Err(Problem::not_found("request_id", missing).into())
}

/// The age of a request whose id Voltgate made.
fn age(request: RequestId) -> Option<Duration> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    request.made_at().map(|made| now.abs_diff(made))
}

impl From<Accepted> for RequestView {
    fn from(accepted: Accepted) -> Self {
        Self {
            request_id: accepted.request_id,
            state: State::Accepted,
            station_id: accepted.station_id,
            driver_token: accepted.driver_token,
            status: None,
            callback_url: accepted.callback_url,
            callback_status: DeliveryState::Pending.as_str().to_owned(),
            delivery: DeliveryState::Pending,
            start_time_ns: accepted.start_ns,
            start_time: Moment(accepted.start_ns),
            deadline_ns: accepted.deadline_ns,
            deadline: accepted.deadline_ns.map(Moment),
            decided_ns: None,
            decided: None,
            source: Source::Api,
            answer: None,
            answer_reason: None,
            attempts: Vec::new(),
        }
    }
}

impl From<Record> for RequestView {
    fn from(record: Record) -> Self {
        let (answer, answer_reason) = record.answer.map(|said| (said.answer, said.reason)).unzip();
        Self {
            request_id: record.decided.request_id,
            state: match record.delivery {
                DeliveryState::Pending => State::Decided,
                DeliveryState::Delivered => State::Delivered,
                DeliveryState::Undeliverable => State::Undeliverable,
            },
            station_id: record.key.station_id,
            driver_token: record.key.driver_token,
            status: Some(record.decided.decision),
            callback_url: record.decided.callback_url,
            callback_status: record.callback_status,
            delivery: record.delivery,
            start_time_ns: record.key.start_ns,
            start_time: Moment(record.key.start_ns),
            deadline_ns: Some(record.decided.deadline_ns),
            deadline: Some(Moment(record.decided.deadline_ns)),
            decided_ns: Some(record.decided.decided_ns),
            decided: Some(Moment(record.decided.decided_ns)),
            source: record.decided.source,
            answer,
            answer_reason,
            attempts: record.attempts.into_iter().map(AttemptView::from).collect(),
        }
    }
}

impl From<Attempt> for AttemptView {
    fn from(attempt: Attempt) -> Self {
        let Attempt { number, at_ns, took_ms, outcome } = attempt;
        Self { number, at_ns, at: Moment(at_ns), took_ms, outcome }
    }
}
