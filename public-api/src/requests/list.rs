//! `GET /requests`: the requests, newest first, in pages.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use http_server::Problem;
use http_server::openapi::refusals::{Invalid, Unavailable};
use serde::Serialize;
use store::{DeliveryState, NoPlace, Place};
use utoipa::{IntoParams, ToSchema};

use super::{Shown, filter};
use crate::acceptance::Acceptance;
use crate::error::ApiError;

const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 500;

/// A page of requests. It may be shorter than its limit, or empty, and have a next page: the work for a page is bounded
#[derive(Serialize, ToSchema)]
#[schema(as = Requests)]
pub(crate) struct Listed {
    requests: Vec<Shown>,
    /// The cursor of the next page; null at the end
    #[schema(required)]
    cursor: Option<String>,
}

/// The parameters that only the list has
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "filter.rs and this file read them, so that each error names its field")]
struct OwnParams {
    delivery: Option<DeliveryState>,
    /// Requested at this moment or later
    #[param(schema_with = filter::moment_schema)]
    from: Option<String>,
    /// Requested before this moment
    #[param(schema_with = filter::moment_schema)]
    to: Option<String>,
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u32>,
    /// The cursor of the previous page
    #[param(pattern = "^([0-9a-f]{48})?$")]
    cursor: Option<String>,
}

/// List decided requests, newest first
#[utoipa::path(get, path = "/requests", operation_id = "list_requests", tag = "requests", params(filter::Params, OwnParams),
    responses((status = 200, description = "A page of requests", body = Listed), Invalid, Unavailable))]
pub(crate) async fn list(
    acceptance: Data<Acceptance>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let own = ["delivery", "from", "to", "limit", "cursor"];
    let (filter, rest) = filter::read(request.query_string(), &own)?;
    let (mut limit, mut after) = (DEFAULT_LIMIT, None);
    for (name, value) in &rest {
        match name.as_str() {
            "limit" => limit = parse_limit(value)?,
            // Empty as on the first page, for clients that always send the parameter.
            _ if value.is_empty() => {}
            _ => after = Some(cursor(value)?),
        }
    }
    let listing = acceptance.store.search().list(&filter, after, limit).await.map_err(ApiError::Store)?;
    Ok(HttpResponse::Ok().json(Listed {
        requests: listing.records.into_iter().map(Shown::from).collect(),
        cursor: listing.next.map(|next| next.to_string()),
    }))
}

fn parse_limit(text: &str) -> Result<usize, Problem> {
    let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| Problem::invalid("limit", format!("expected 1 to {MAX_LIMIT}")))
}

fn cursor(text: &str) -> Result<Place, Problem> {
    text.parse().map_err(|error: NoPlace| Problem::invalid("cursor", error.to_string()))
}
