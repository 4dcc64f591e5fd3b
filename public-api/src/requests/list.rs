//! `GET /requests`: the requests, newest first, in pages.

use actix_web::HttpResponse;
use actix_web::web::Data;
use common::clock::Nanos;
use common::decision::Decision;
use common::ids::{PresentedToken, StationId};
use http_server::openapi::refusals::{Invalid, Unavailable};
use http_server::{Problem, Query, input};
use serde::{Deserialize, Serialize};
use store::{DeliveryState, Filter, NoPlace, Place};
use utoipa::{IntoParams, ToSchema};

use super::{RequestView, timestamp};
use crate::acceptance::Acceptance;
use crate::error::ApiError;

/// A page of requests. It may be shorter than its limit, or empty, and have a next page: the work for a page is bounded
#[derive(Serialize, ToSchema)]
#[schema(as = Requests)]
pub(crate) struct RequestPage {
    requests: Vec<RequestView>,
    /// The cursor of the next page; null at the end
    #[schema(required)]
    cursor: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    #[serde(default, deserialize_with = "input::optional")]
    station_id: Option<StationId>,
    driver_token: Option<PresentedToken>,
    status: Option<Decision>,
    delivery: Option<DeliveryState>,
    /// Requested at this moment or later
    #[serde(default, deserialize_with = "timestamp::read")]
    #[param(schema_with = timestamp::schema)]
    from: Option<Nanos>,
    /// Requested before this moment
    #[serde(default, deserialize_with = "timestamp::read")]
    #[param(schema_with = timestamp::schema)]
    to: Option<Nanos>,
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    limit: Option<String>,
    /// The cursor of the previous page
    #[param(pattern = "^([0-9a-f]{48})?$")]
    cursor: Option<String>,
}

/// List decided requests, newest first
#[utoipa::path(get, path = "/requests", operation_id = "list_requests", tag = "requests", params(ListQuery),
    responses((status = 200, description = "A page of requests", body = RequestPage), Invalid, Unavailable))]
pub(crate) async fn list(
    acceptance: Data<Acceptance>,
    Query(query): Query<ListQuery>,
) -> Result<HttpResponse, ApiError> {
    let limit = usize::from(http_server::query::limit(query.limit.as_deref())?);
    // Empty as on the first page, for clients that always send the parameter.
    let after = query.cursor.as_deref().filter(|cursor| !cursor.is_empty()).map(cursor).transpose()?;
    let filter = Filter {
        station_id: query.station_id,
        driver_token: query.driver_token,
        status: query.status,
        delivery: query.delivery,
        from_ns: query.from,
        to_ns: query.to,
    };
    let listing = acceptance.store.search().list(&filter, after, limit).await.map_err(ApiError::Store)?;
    Ok(HttpResponse::Ok().json(RequestPage {
        requests: listing.records.into_iter().map(RequestView::from).collect(),
        cursor: listing.next.map(|next| next.to_string()),
    }))
}

fn cursor(text: &str) -> Result<Place, Problem> {
    text.parse().map_err(|error: NoPlace| Problem::invalid("cursor", error.to_string()))
}
