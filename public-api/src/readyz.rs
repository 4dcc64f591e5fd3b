//! `GET /readyz`. The store is not asked: requests are accepted without it.

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
    if !acceptance.queue.broker().is_ready() {
        let detail = "there is no connection to the broker";
        return Err(Problem::unavailable("task_queue", detail, Duration::from_secs(1)).into());
    }
    Ok(HttpResponse::Ok().json(Status::READY))
}
