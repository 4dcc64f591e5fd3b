//! `GET /requests/{request_id}`: what became of a request.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use common::clock::Nanos;
use common::decision::Decision;
use common::ids::{PresentedToken, RequestId, StationId};
use http_api::Problem;
use serde::Serialize;
use store::{Attempt, DeliveryState, Record};

use crate::acceptance::Acceptance;
use crate::error::ApiError;

#[derive(Serialize)]
struct Shown {
    request_id: RequestId,
    station_id: StationId,
    driver_token: PresentedToken,
    status: Decision,
    callback_url: String,
    callback_status: String,
    delivery: DeliveryState,
    start_time_ns: Nanos,
    deadline_ns: Nanos,
    decided_ns: Nanos,
    attempts: Vec<Attempt>,
}

pub(crate) async fn show(acceptance: Data<Acceptance>, path: Path<String>) -> Result<HttpResponse, ApiError> {
    let request: RequestId = path
        .parse()
        .map_err(|error: common::ids::NotUuid| Problem::invalid("request_id", error.to_string()))?;
    let record = acceptance.store.records.find(request).await.map_err(ApiError::Store)?;
    let missing = "no worker has decided it yet, its record has expired, or there never was such a request";
    let record = record.ok_or_else(|| Problem::not_found("request_id", missing))?;
    Ok(HttpResponse::Ok().json(Shown::from(record)))
}

impl From<Record> for Shown {
    fn from(record: Record) -> Self {
        Self {
            request_id: record.decided.request_id,
            station_id: record.key.station_id,
            driver_token: record.key.driver_token,
            status: record.decided.decision,
            callback_url: record.decided.callback_url,
            callback_status: record.callback_status,
            delivery: record.delivery,
            start_time_ns: record.key.start_ns,
            deadline_ns: record.decided.deadline_ns,
            decided_ns: record.decided.decided_ns,
            attempts: record.attempts,
        }
    }
}
