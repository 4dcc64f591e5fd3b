//! `/api/v1/access-groups`: groups of stations that are opened together.

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use authorization::{AclAdmin, GroupChanged};
use charging::Db;
use http_server::openapi::refusals::{
    BodyTooLarge, BodyTooSlow, Invalid, NotFound, Unavailable, UnsupportedMediaType,
};
use http_server::{Problem, Query, body};
use serde::{Deserialize, Serialize};
use store::{Entry, GroupName, GroupSize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::validity::Validity;
use super::{EntryPage, acting, page_query, refused, station, token, views};
use crate::auth::MAX_BODY;
use crate::error::Answer;
use crate::patch::path_id;

/// A page of groups of stations
#[derive(Serialize, ToSchema)]
#[schema(as = AccessGroups)]
pub(crate) struct GroupPage {
    items: Vec<GroupItem>,
    /// The cursor of the next page; null at the end
    #[schema(required)]
    cursor: Option<String>,
}

/// A group of stations in a list
#[derive(Serialize, ToSchema)]
#[schema(as = AccessGroupName)]
struct GroupItem {
    name: String,
}

/// A group of stations
#[derive(Serialize, ToSchema)]
#[schema(as = AccessGroup)]
pub(crate) struct GroupView {
    name: String,
    /// How many stations it has
    stations: u64,
    /// How many tokens are allowed at them
    tokens: u64,
}

/// A page of the stations of a group
#[derive(Serialize, ToSchema)]
#[schema(as = AccessGroupStations)]
pub(crate) struct StationPage {
    items: Vec<StationItem>,
    /// The cursor of the next page; null at the end
    #[schema(required)]
    cursor: Option<String>,
}

/// A station of a group
#[derive(Serialize, ToSchema)]
#[schema(as = AccessGroupStation)]
struct StationItem {
    station_id: Uuid,
}

/// What a change of a group did to the access lists
#[derive(Serialize, ToSchema)]
#[schema(as = AccessGroupChanged)]
pub(crate) struct ChangedView {
    /// The stations, or tokens, that were processed
    reached: u64,
    /// The entries that changed
    changed: u64,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct GroupQuery {
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    limit: Option<String>,
    /// The cursor of the previous page
    #[param(pattern = "^[A-Za-z0-9._~=:-]*$", max_length = 300)]
    cursor: Option<String>,
}

/// The name of a group
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only documentation")]
pub(crate) struct NamePath {
    /// The group's name
    #[param(pattern = "^[a-z0-9-]{1,64}$")]
    name: String,
}

impl GroupView {
    fn of(name: &GroupName, size: GroupSize) -> Self {
        Self { name: name.to_string(), stations: size.stations, tokens: size.drivers }
    }
}

impl From<GroupChanged> for ChangedView {
    fn from(changed: GroupChanged) -> Self {
        Self { reached: changed.reached, changed: changed.changed }
    }
}

/// List groups of stations
#[utoipa::path(get, path = "/api/v1/access-groups", operation_id = "list_access_groups", tag = "access", params(GroupQuery),
    responses((status = 200, description = "A page of groups", body = GroupPage), Invalid, Unavailable))]
pub(crate) async fn list(admin: Data<AclAdmin>, Query(given): Query<GroupQuery>) -> Answer {
    let query = page_query(given.limit.as_deref(), given.cursor.as_deref())?;
    let page = admin.groups(&query).await.map_err(refused)?;
    let items = page.items.iter().map(|name| GroupItem { name: name.to_string() }).collect();
    Ok(HttpResponse::Ok().json(GroupPage { items, cursor: page.next }))
}

/// A group of stations
#[utoipa::path(get, path = "/api/v1/access-groups/{name}", operation_id = "get_access_group", tag = "access",
    params(NamePath),
    responses((status = 200, description = "The group", body = GroupView), NotFound, Unavailable))]
pub(crate) async fn show(admin: Data<AclAdmin>, path: Path<String>) -> Answer {
    let name = existing(&path)?;
    let size = admin.group(&name).await.map_err(refused)?;
    Ok(HttpResponse::Ok().json(GroupView::of(&name, size)))
}

/// Create a group of stations, unless it exists
#[utoipa::path(put, path = "/api/v1/access-groups/{name}", operation_id = "create_access_group", tag = "access",
    params(NamePath),
    responses((status = 200, description = "The group", body = GroupView), Invalid, Unavailable))]
pub(crate) async fn create(admin: Data<AclAdmin>, path: Path<String>, request: HttpRequest) -> Answer {
    let name = GroupName::parse(&path).map_err(|why| Problem::invalid("name", why.to_string()))?;
    let size = acting(&admin, &request).create_group(&name).await.map_err(refused)?;
    Ok(HttpResponse::Ok().json(GroupView::of(&name, size)))
}

/// Delete a group of stations
///
/// The access lists of its stations stay as they are.
#[utoipa::path(delete, path = "/api/v1/access-groups/{name}", operation_id = "delete_access_group", tag = "access",
    params(NamePath),
    responses((status = 204, description = "It is deleted"), NotFound, Unavailable))]
pub(crate) async fn remove(admin: Data<AclAdmin>, path: Path<String>, request: HttpRequest) -> Answer {
    let name = existing(&path)?;
    acting(&admin, &request).delete_group(&name).await.map_err(refused)?;
    Ok(HttpResponse::NoContent().finish())
}

/// List the stations of a group
#[utoipa::path(get, path = "/api/v1/access-groups/{name}/stations", operation_id = "list_access_group_stations",
    tag = "access", params(NamePath, GroupQuery),
    responses((status = 200, description = "A page of stations", body = StationPage), Invalid, NotFound, Unavailable))]
pub(crate) async fn stations(
    admin: Data<AclAdmin>,
    path: Path<String>,
    Query(given): Query<GroupQuery>,
) -> Answer {
    let (name, query) = (existing(&path)?, page_query(given.limit.as_deref(), given.cursor.as_deref())?);
    let page = admin.group_stations(&name, &query).await.map_err(refused)?;
    let items = page.items.into_iter().map(|id| StationItem { station_id: id.uuid() }).collect();
    Ok(HttpResponse::Ok().json(StationPage { items, cursor: page.next }))
}

/// Add a station to a group
///
/// The tokens of the group are put on its access list.
#[utoipa::path(put, path = "/api/v1/access-groups/{name}/stations/{station_id}", operation_id = "join_access_group",
    tag = "access",
    params(NamePath,
        ("station_id" = Uuid, Path, description = "The station's id")),
    responses((status = 200, description = "It belongs to the group", body = ChangedView), NotFound, Unavailable))]
pub(crate) async fn join(
    db: Data<Db>,
    admin: Data<AclAdmin>,
    path: Path<(String, String)>,
    request: HttpRequest,
) -> Answer {
    let (name, station) = (existing(&path.0)?, station(&db, &path.1).await?);
    let changed = acting(&admin, &request).join_group(&name, station).await.map_err(refused)?;
    Ok(HttpResponse::Ok().json(ChangedView::from(changed)))
}

/// Take a station out of a group
///
/// Its access list stays as it is.
#[utoipa::path(delete, path = "/api/v1/access-groups/{name}/stations/{station_id}", operation_id = "leave_access_group",
    tag = "access",
    params(NamePath,
        ("station_id" = Uuid, Path, description = "The station's id")),
    responses((status = 204, description = "It does not belong to the group"), NotFound, Unavailable))]
pub(crate) async fn leave(
    admin: Data<AclAdmin>,
    path: Path<(String, String)>,
    request: HttpRequest,
) -> Answer {
    // A station that was deleted meanwhile can still be taken out.
    let (name, station) = (existing(&path.0)?, common::ids::StationId::from_uuid(path_id(&path.1)?));
    acting(&admin, &request).leave_group(&name, station).await.map_err(refused)?;
    Ok(HttpResponse::NoContent().finish())
}

/// List the tokens of a group
#[utoipa::path(get, path = "/api/v1/access-groups/{name}/tokens", operation_id = "list_access_group_tokens",
    tag = "access", params(NamePath, GroupQuery),
    responses((status = 200, description = "A page of tokens", body = EntryPage), Invalid, NotFound, Unavailable))]
pub(crate) async fn tokens(
    db: Data<Db>,
    admin: Data<AclAdmin>,
    path: Path<String>,
    Query(given): Query<GroupQuery>,
) -> Answer {
    let (name, query) = (existing(&path)?, page_query(given.limit.as_deref(), given.cursor.as_deref())?);
    let page = admin.group_drivers(&name, &query).await.map_err(refused)?;
    let items = views(&db, page.items).await?;
    Ok(HttpResponse::Ok().json(EntryPage { items, cursor: page.next }))
}

/// Allow a token at all stations of a group
///
/// Replaces the whole entry: without `from` and `until` it is valid at all times.
#[utoipa::path(put, path = "/api/v1/access-groups/{name}/tokens/{token_id}", operation_id = "admit_token", tag = "access",
    request_body(content = Validity),
    params(NamePath,
        ("token_id" = Uuid, Path, description = "The token's id")),
    responses((status = 200, description = "It belongs to the group", body = ChangedView), Invalid, NotFound, BodyTooLarge,
        BodyTooSlow, UnsupportedMediaType, Unavailable))]
pub(crate) async fn admit(
    db: Data<Db>,
    admin: Data<AclAdmin>,
    path: Path<(String, String)>,
    request: HttpRequest,
    payload: Payload,
) -> Answer {
    let body = body::read(&request, payload, MAX_BODY).await?;
    let (name, token) = (existing(&path.0)?, token(&db, &path.1).await?);
    let entry = Entry { token: token.driver_token, period: Validity::parse(&body)?.period()? };
    let changed = acting(&admin, &request).admit(&name, &entry).await.map_err(refused)?;
    Ok(HttpResponse::Ok().json(ChangedView::from(changed)))
}

/// Take a token out of a group, and off the access lists of its stations
#[utoipa::path(delete, path = "/api/v1/access-groups/{name}/tokens/{token_id}", operation_id = "dismiss_token",
    tag = "access",
    params(NamePath,
        ("token_id" = Uuid, Path, description = "The token's id")),
    responses((status = 204, description = "It does not belong to the group"), NotFound, Unavailable))]
pub(crate) async fn dismiss(
    db: Data<Db>,
    admin: Data<AclAdmin>,
    path: Path<(String, String)>,
    request: HttpRequest,
) -> Answer {
    let (name, token) = (existing(&path.0)?, token(&db, &path.1).await?);
    acting(&admin, &request).dismiss(&name, &token.driver_token).await.map_err(refused)?;
    Ok(HttpResponse::NoContent().finish())
}

/// The name of a group that should exist: what is no name is that of no group.
fn existing(name: &str) -> Result<GroupName, Problem> {
    GroupName::parse(name).map_err(|_| Problem::not_found("name", "there is no group of this name"))
}
