//! `/api/v1/unknown-chargers`: chargers that tried to connect and are not known.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use charging::chargers::inbox::{self, UnknownCharger};
use charging::{At, Db};
use http_server::openapi::refusals::{Invalid, NotFound, Unavailable};
use http_server::{Query, query};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{ChargerPath, no_charger};
use crate::error::{Answer, ApiError};
use crate::paging;

/// A page of chargers that are not known
#[derive(Serialize, ToSchema)]
#[schema(as = UnknownChargers)]
pub(crate) struct UnknownPage {
    items: Vec<UnknownView>,
    /// The cursor of the next page; null at the end
    #[schema(required)]
    cursor: Option<String>,
}

/// A charger that is not known
#[derive(Serialize, ToSchema)]
#[schema(as = UnknownCharger)]
struct UnknownView {
    /// The name that it gave
    charger: String,
    /// The address that it came from
    #[schema(required)]
    address: Option<String>,
    /// What it says it is
    #[schema(required)]
    user_agent: Option<String>,
    /// The subprotocols that it offered, as it wrote them
    subprotocols: String,
    /// How often it tried
    attempts: i64,
    first_seen: At,
    last_seen: At,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct UnknownQuery {
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    limit: Option<String>,
    /// The cursor of the previous page
    #[param(pattern = "^[A-Za-z0-9_-]*$")]
    cursor: Option<String>,
}

/// List chargers that tried to connect and are not known, by name
///
/// `PUT /api/v1/chargers/{charger}` adopts one.
#[utoipa::path(get, path = "/api/v1/unknown-chargers", operation_id = "list_unknown_chargers", tag = "chargers",
    params(UnknownQuery),
    responses((status = 200, description = "A page of chargers", body = UnknownPage), Invalid, Unavailable))]
pub(crate) async fn list(db: Data<Db>, Query(given): Query<UnknownQuery>) -> Answer {
    let limit = query::limit(given.limit.as_deref())?;
    let after: String = paging::after(given.cursor.as_deref())?.unwrap_or_default();
    if after.contains('\0') {
        return Err(paging::bad_cursor().into());
    }
    let mut found = db.read(async |tx| inbox::list(tx, &after, i64::from(limit) + 1).await).await?;
    let cursor = paging::cut(&mut found, limit).map(|last| paging::cursor(&last.name));
    let items = found.into_iter().map(UnknownView::from).collect();
    Ok(HttpResponse::Ok().json(UnknownPage { items, cursor }))
}

/// Remove a charger from the list of those that are not known
///
/// It comes back with its next attempt.
#[utoipa::path(delete, path = "/api/v1/unknown-chargers/{charger}", operation_id = "delete_unknown_charger",
    tag = "chargers", params(ChargerPath),
    responses((status = 204, description = "It is removed"), NotFound, Unavailable))]
pub(crate) async fn remove(db: Data<Db>, path: Path<String>) -> Answer {
    let name = path.into_inner();
    if name.contains('\0') || !db.write(async |tx| inbox::remove(tx, &name).await).await? {
        return Err(ApiError::from(no_charger()));
    }
    Ok(HttpResponse::NoContent().finish())
}

impl From<UnknownCharger> for UnknownView {
    fn from(unknown: UnknownCharger) -> Self {
        Self {
            charger: unknown.name,
            address: unknown.address,
            user_agent: unknown.user_agent,
            subprotocols: unknown.subprotocols,
            attempts: unknown.attempts,
            first_seen: unknown.first_seen,
            last_seen: unknown.last_seen,
        }
    }
}
