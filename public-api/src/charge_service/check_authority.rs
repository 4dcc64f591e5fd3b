//! `checkauthority`, which charge-service used internally: a request that waits for its decision. The decision is also
//! called back.

use std::time::{Duration, Instant};

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, Responder};
use common::clock;
use common::decision::Decision;
use common::ids::{DriverToken, PresentedToken, RequestId, StationId};
use http_server::observation::trace_of;
use http_server::{Problem, input};
use serde::{Deserialize, Serialize};
use task_queue::Timestamp;
use utoipa::ToSchema;

use super::located;
use crate::acceptance::Acceptance;
use crate::error::ApiError;
use crate::form::Form;
use crate::question::{Question, RequestTime};

/// Maximum wait for a decision, if the request's deadline is later.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(60);
/// How long after its deadline a decision may take to be recorded.
const RECORDED_WITHIN: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(20);
const TOO_OLD: Duration = Duration::from_secs(30 * 60);

#[derive(Deserialize, ToSchema)]
#[schema(as = Checking)]
pub(super) struct AuthorityCheck {
    #[serde(deserialize_with = "input::parsed")]
    station_id: StationId,
    driver_token: DriverToken,
    /// At most half an hour ago
    #[schema(format = "date-time")]
    request_time: String,
    #[schema(format = "uri", max_length = 2048)]
    callback_url: String,
}

/// The decision, in charge-service's words
#[derive(Serialize, ToSchema)]
#[schema(as = Checked)]
pub(super) struct AuthorityAnswer {
    message: &'static str,
}

impl AuthorityAnswer {
    const GRANTED: Self = Self { message: "Access granted" };
    const DENIED: Self = Self { message: "Access denied" };
    const TOO_OLD: Self = Self { message: "Request is too old" };
    const FAILED: Self = Self { message: "An error occurred while proccessing charging request." };
}

/// Request a decision and wait for it
#[utoipa::path(post, path = "/api/checkauthority/", tag = "charge-service",
    request_body(content((AuthorityCheck = "application/json"), (AuthorityCheck = "application/x-www-form-urlencoded"))),
    responses((status = 200, description = "The decision, or an error message", body = AuthorityAnswer,
        headers(("location" = String, description = "The request's path, if it was accepted or may have been")))))]
pub(super) async fn check_authority(
    acceptance: Data<Acceptance>,
    request: HttpRequest,
    payload: Payload,
) -> impl Responder {
    match check(&acceptance, &request, payload).await {
        Ok((answer, request)) => located(answer, Some(request)),
        Err(refusal) => {
            refusal.count();
            located(AuthorityAnswer::FAILED, refusal.unconfirmed())
        }
    }
}

async fn check(
    acceptance: &Acceptance,
    request: &HttpRequest,
    payload: Payload,
) -> Result<(AuthorityAnswer, RequestId), ApiError> {
    let AuthorityCheck { station_id, driver_token, request_time, callback_url } =
        Form::of_body(request, payload).await?.parse()?;
    let token = PresentedToken::new(driver_token.expose());
    let question = Question::new(&acceptance.guard, station_id, token, callback_url)?;
    let expected = || Problem::invalid("request_time", "expected an ISO 8601 timestamp");
    let age = Timestamp::now().since(Timestamp::parse(&request_time).ok_or_else(expected)?);
    let now = clock::now();
    let asked = acceptance.asked(now.saturating_sub(clock::nanos(age)));
    if age > TOO_OLD {
        // Its deadline has passed, so `unknown` is recorded and called back.
        let request = acceptance.accept(question, asked, None, &trace_of(request)).await?;
        return Ok((AuthorityAnswer::TOO_OLD, request));
    }
    let asked = RequestTime { deadline: acceptance.asked(now).deadline, ..asked };
    let request = acceptance.accept(question, asked, None, &trace_of(request)).await?;
    let answer = match decision(acceptance, request).await {
        Some(Decision::Allowed) => AuthorityAnswer::GRANTED,
        Some(Decision::NotAllowed) => AuthorityAnswer::DENIED,
        Some(Decision::Unknown | Decision::Invalid) | None => AuthorityAnswer::FAILED,
    };
    Ok((answer, request))
}

/// Returns `None` if no decision is recorded in time. The decision is called back nevertheless.
async fn decision(acceptance: &Acceptance, request: RequestId) -> Option<Decision> {
    let until = Instant::now() + (acceptance.timeout + RECORDED_WITHIN).min(MAX_WAIT);
    while Instant::now() < until {
        match acceptance.store.records().find(request).await {
            Ok(Some(record)) => return Some(record.decided.decision),
            Ok(None) => {}
            Err(error) => tracing::warn!(%request, %error, "the decision of a request cannot be looked up"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    None
}
