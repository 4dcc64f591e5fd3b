//! `GET /readyz`: 503 wherever a request for a decision would be. The store is not asked: requests are accepted without
//! it.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::Data;
use http_server::openapi::refusals::Unavailable;
use http_server::{Problem, Status};

use crate::acceptance::Acceptance;
use crate::error::ApiError;

/// Whether requests can be accepted
#[utoipa::path(get, path = "/readyz", tag = "service",
    responses((status = 200, description = "Requests can be accepted", body = Status), Unavailable))]
pub(crate) async fn readyz(acceptance: Data<Acceptance>) -> Result<HttpResponse, ApiError> {
    if let Some(why) = acceptance.queue.broker().unready() {
        return Err(Problem::unavailable("task_queue", why, Duration::from_secs(1)).into());
    }
    if acceptance.queue_age.is_over_limit() {
        return Err(ApiError::QueueTooOld);
    }
    Ok(HttpResponse::Ok().json(Status::READY))
}
