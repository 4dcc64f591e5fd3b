//! `getrequestlog`: the newest decisions, listed oldest first as in the original, which has no pages.

use std::time::{Duration, UNIX_EPOCH};

use actix_web::web::{Data, Json};
use common::clock::Nanos;
use common::decision::Decision;
use common::ids::{PresentedToken, RequestId, StationId};
use http_server::openapi::refusals::Unavailable;
use serde::Serialize;
use store::{Filter, Record, StoreError};
use task_queue::Timestamp;
use utoipa::ToSchema;

use crate::acceptance::Acceptance;
use crate::error::ApiError;

/// `GET /requests` finds older ones.
const NEWEST: usize = 1000;

/// A decided request
#[derive(Serialize, ToSchema)]
pub(super) struct LoggedRequest {
    id: RequestId,
    station_id: StationId,
    driver_token: PresentedToken,
    callback_url: String,
    #[schema(format = "date-time")]
    request_time: String,
    #[schema(format = "date-time")]
    decision_time: String,
    decision: Decision,
}

/// List the newest thousand decisions, oldest first
#[utoipa::path(get, path = "/api/getrequestlog/", tag = "charge-service",
    responses((status = 200, description = "The requests", body = Vec<LoggedRequest>), Unavailable))]
pub(super) async fn request_log(acceptance: Data<Acceptance>) -> Result<Json<Vec<LoggedRequest>>, ApiError> {
    let mut newest = newest(&acceptance).await.map_err(ApiError::Store)?;
    newest.reverse();
    Ok(Json(newest.into_iter().map(LoggedRequest::from).collect()))
}

/// The newest decisions, newest first.
async fn newest(acceptance: &Acceptance) -> Result<Vec<Record>, StoreError> {
    let (mut newest, mut after) = (Vec::new(), None);
    // A page may be shorter than its limit without being the last.
    while newest.len() < NEWEST {
        let wanted = NEWEST - newest.len();
        let found = acceptance.store.search().list(&Filter::default(), after, wanted).await?;
        newest.extend(found.records);
        after = found.next;
        if after.is_none() {
            break;
        }
    }
    Ok(newest)
}

impl From<Record> for LoggedRequest {
    fn from(record: Record) -> Self {
        Self {
            id: record.decided.request_id,
            station_id: record.key.station_id,
            driver_token: record.key.driver_token,
            callback_url: record.decided.callback_url.unwrap_or_default(),
            request_time: written(record.key.start_ns),
            decision_time: written(record.decided.decided_ns),
            decision: record.decided.decision,
        }
    }
}

/// ISO 8601, as Django REST framework formats UTC timestamps.
fn written(moment: Nanos) -> String {
    let moment = Timestamp::from(UNIX_EPOCH + Duration::from_nanos(moment));
    moment.to_string().replace("+00:00", "Z")
}
