//! `/api/v1/stations/{station_id}/access` and `/api/v1/access-groups`: the access lists of acl-service, which platform-api
//! changes on behalf of the caller. Drivers are named by their tokens of the platform.

pub(crate) mod groups;
mod validity;

use actix_web::web::{Data, Path, Payload, delete, get, put};
use actix_web::{HttpRequest, HttpResponse};
use authorization::{AclAdmin, AclAdminError};
use charging::stations::charging_stations;
use charging::tokens::{self, Token};
use charging::{At, Db, Tx};
use common::ids::{DriverToken, StationId};
use common::on_behalf_of::OnBehalfOf;
use http_server::openapi::refusals::{
    BodyTooLarge, BodyTooSlow, Invalid, NotFound, Unavailable, UnsupportedMediaType,
};
use http_server::{Access, Problem, Query, Resource, body, caller, query, resource};
use serde::{Deserialize, Serialize};
use store::{Entry, PageQuery, show_moment};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use self::validity::Validity;
use crate::auth::MAX_BODY;
use crate::error::{Answer, ApiError};
use crate::patch::{not_found, path_id};
use crate::permissions::{self, actor};

pub(crate) fn resources() -> Vec<Resource> {
    const EDIT: Access = Access::Granted(permissions::EDIT_ACCESS);
    const SEE: &[(&str, Access)] = &[("GET", EDIT)];
    const CHANGE: &[(&str, Access)] = &[("PUT, DELETE", EDIT)];
    let group = |path: &str| format!("/api/v1/access-groups/{{name:[^/]*}}{path}");
    vec![
        resource("/api/v1/stations/{station_id:[^/]*}/access", SEE).route(get().to(list)),
        resource("/api/v1/stations/{station_id:[^/]*}/access/{token_id:[^/]*}", CHANGE)
            .without_query()
            .route(put().to(allow))
            .route(delete().to(deny)),
        resource("/api/v1/access-groups", SEE).route(get().to(groups::list)),
        resource(&group(""), &[("GET, PUT, DELETE", EDIT)])
            .without_query()
            .route(get().to(groups::show))
            .route(put().to(groups::create))
            .route(delete().to(groups::remove)),
        resource(&group("/stations"), SEE).route(get().to(groups::stations)),
        resource(&group("/stations/{station_id:[^/]*}"), CHANGE)
            .without_query()
            .route(put().to(groups::join))
            .route(delete().to(groups::leave)),
        resource(&group("/tokens"), SEE).route(get().to(groups::tokens)),
        resource(&group("/tokens/{token_id:[^/]*}"), CHANGE)
            .without_query()
            .route(put().to(groups::admit))
            .route(delete().to(groups::dismiss)),
    ]
}

/// A page of the entries of an access list
#[derive(Serialize, ToSchema)]
#[schema(as = AccessEntries)]
pub(crate) struct EntryPage {
    items: Vec<EntryView>,
    /// The cursor of the next page; null at the end
    #[schema(required)]
    cursor: Option<String>,
}

/// An entry of an access list
#[derive(Serialize, ToSchema)]
#[schema(as = AccessEntry)]
pub(crate) struct EntryView {
    /// The token; null if it is not one of the platform
    #[schema(required)]
    token_id: Option<Uuid>,
    driver_token: DriverToken,
    /// When it begins
    #[schema(required, format = DateTime)]
    from: Option<String>,
    /// When it ends
    #[schema(required, format = DateTime)]
    until: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EntryQuery {
    /// Only entries with a validity, also those that have not begun
    #[param(value_type = Option<bool>, default = false)]
    timed: Option<String>,
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    limit: Option<String>,
    /// The cursor of the previous page
    #[param(pattern = "^[A-Za-z0-9._~=:-]*$", max_length = 300)]
    cursor: Option<String>,
}

/// List who is on the access list of a station
///
/// A page may be shorter than `limit` and have a next page. At a public station every active token is allowed too.
#[utoipa::path(get, path = "/api/v1/stations/{station_id}/access", operation_id = "list_station_access", tag = "access",
    params(("station_id" = Uuid, Path, description = "The station's id"), EntryQuery),
    responses((status = 200, description = "A page of entries", body = EntryPage), Invalid, NotFound, Unavailable))]
pub(crate) async fn list(
    db: Data<Db>,
    admin: Data<AclAdmin>,
    path: Path<String>,
    Query(given): Query<EntryQuery>,
) -> Answer {
    let station = station(&db, &path).await?;
    let timed = query::flag("timed", given.timed.as_deref())?;
    let query = page_query(given.limit.as_deref(), given.cursor.as_deref())?;
    let (entries, cursor) = match timed {
        true => {
            let page = admin.timed_entries(station, &query).await.map_err(refused)?;
            (page.items, page.next)
        }
        false => {
            let page = admin.entries(station, &query).await.map_err(refused)?;
            (page.entries, page.next)
        }
    };
    let items = views(&db, entries).await?;
    Ok(HttpResponse::Ok().json(EntryPage { items, cursor }))
}

/// Put a token on the access list of a station
///
/// Replaces the whole entry: without `from` and `until` it is valid at all times.
#[utoipa::path(put, path = "/api/v1/stations/{station_id}/access/{token_id}", operation_id = "allow_token", tag = "access",
    request_body(content = Validity),
    params(("station_id" = Uuid, Path, description = "The station's id"),
        ("token_id" = Uuid, Path, description = "The token's id")),
    responses((status = 200, description = "The entry", body = EntryView), Invalid, NotFound, BodyTooLarge, BodyTooSlow,
        UnsupportedMediaType, Unavailable))]
pub(crate) async fn allow(
    db: Data<Db>,
    admin: Data<AclAdmin>,
    path: Path<(String, String)>,
    request: HttpRequest,
    payload: Payload,
) -> Answer {
    let body = body::read(&request, payload, MAX_BODY).await?;
    let station = station(&db, &path.0).await?;
    let token = token(&db, &path.1).await?;
    let validity = Validity::parse(&body)?;
    let entry = Entry { token: token.driver_token.clone(), period: validity.period()? };
    acting(&admin, &request).allow(station, &entry).await.map_err(refused)?;
    Ok(HttpResponse::Ok().json(EntryView::of(entry, Some(token.id))))
}

/// Take a token off the access list of a station
#[utoipa::path(delete, path = "/api/v1/stations/{station_id}/access/{token_id}", operation_id = "deny_token", tag = "access",
    params(("station_id" = Uuid, Path, description = "The station's id"),
        ("token_id" = Uuid, Path, description = "The token's id")),
    responses((status = 204, description = "It is not on the list"), NotFound, Unavailable))]
pub(crate) async fn deny(
    db: Data<Db>,
    admin: Data<AclAdmin>,
    path: Path<(String, String)>,
    request: HttpRequest,
) -> Answer {
    let station = station(&db, &path.0).await?;
    let token = token(&db, &path.1).await?;
    acting(&admin, &request).deny(station, &token.driver_token).await.map_err(refused)?;
    Ok(HttpResponse::NoContent().finish())
}

impl EntryView {
    fn of(entry: Entry, token_id: Option<Uuid>) -> Self {
        let Entry { token, period } = entry;
        let (from, until) = (period.from().map(show_moment), period.until().map(show_moment));
        Self { token_id, driver_token: token, from, until }
    }
}

/// The entries with the tokens that they are about.
async fn views(db: &Db, entries: Vec<Entry>) -> Result<Vec<EntryView>, ApiError> {
    let names: Vec<DriverToken> = entries.iter().map(|entry| entry.token.clone()).collect();
    let ids = db.read(async |tx| tokens::members::ids_of(tx, &names).await).await?;
    Ok(entries
        .into_iter()
        .map(|entry| {
            let id = ids.get(&entry.token).copied();
            EntryView::of(entry, id)
        })
        .collect())
}

/// The client, on behalf of the caller.
fn acting(admin: &AclAdmin, request: &HttpRequest) -> AclAdmin {
    match actor(&caller(request)).parse::<OnBehalfOf>() {
        Ok(author) => admin.on_behalf_of(author),
        Err(_) => admin.clone(),
    }
}

/// A station of the platform.
async fn station(db: &Db, id: &str) -> Result<StationId, ApiError> {
    let id = path_id(id)?;
    let found = db.read(async |tx| charging_stations::find(tx, id).await).await?;
    found.map(|station| StationId::from_uuid(station.row.id)).ok_or_else(|| not_found().into())
}

/// A token of the platform.
async fn token(db: &Db, id: &str) -> Result<Token, ApiError> {
    let id = path_id(id)?;
    let found = db.read(async |tx: &mut Tx| tokens::find(tx, id).await).await?;
    found.ok_or_else(|| not_found().into())
}

fn page_query<'a>(limit: Option<&str>, cursor: Option<&'a str>) -> Result<PageQuery<'a>, Problem> {
    let limit = u32::from(query::limit(limit)?);
    Ok(PageQuery { cursor: cursor.filter(|cursor| !cursor.is_empty()), limit, search: None })
}

/// The problem that the client receives for an error of acl-service.
fn refused(error: AclAdminError) -> Problem {
    match error {
        AclAdminError::NotFound(detail) => Problem::not_found("name", detail),
        AclAdminError::Refused { field, detail, .. } => Problem::invalid(field, detail),
        AclAdminError::Key(_) => {
            tracing::error!(%error, "acl-service and platform-api need the same PLATFORM_ACL_KEY");
            unavailable()
        }
        AclAdminError::Unavailable(_) | AclAdminError::Outdated => {
            tracing::warn!(%error, "an access list cannot be read or changed");
            unavailable()
        }
    }
}

fn unavailable() -> Problem {
    let detail = "acl-service cannot be used at present; a change may have been made, and may be repeated";
    Problem::unavailable("acl-service", detail, std::time::Duration::from_secs(1))
}

/// The present moment, in the unit of entries.
fn now() -> u64 {
    u64::try_from(At::now().millis()).unwrap_or_default()
}
