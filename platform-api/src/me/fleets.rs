//! `/api/v1/me/fleets`: the fleets that the own account belongs to, or is invited to.

use actix_web::web::{Data, Path, delete, get, post};
use actix_web::{HttpRequest, HttpResponse};
use charging::fleets::{self, FleetMember, MemberStatus, members};
use charging::{At, Db, Tx};
use http_server::openapi::refusals::{Invalid, NotFound, Unavailable};
use http_server::{Access, Query, Resource, resource};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::accounts::signed_in;
use crate::error::{Answer, ApiError};
use crate::paging::PageQuery;
use crate::patch::{not_found, path_id};
use crate::permissions;

pub(super) fn resources() -> Vec<Resource> {
    const OWN: Access = Access::Granted(permissions::OWN_ACCOUNT);
    vec![
        resource("/api/v1/me/fleets", &[("GET", OWN)]).route(get().to(list)),
        resource("/api/v1/me/fleets/{fleet_id:[^/]*}", &[("GET, DELETE", OWN)])
            .without_query()
            .route(get().to(show))
            .route(delete().to(leave)),
        resource("/api/v1/me/fleets/{fleet_id:[^/]*}/accept", &[("POST", OWN)])
            .without_query()
            .route(post().to(accept)),
    ]
}

/// A page of memberships
#[derive(Serialize, ToSchema)]
#[schema(as = Memberships)]
pub(crate) struct MembershipPage {
    items: Vec<MembershipView>,
    /// The cursor of the next page; null at the end
    #[schema(required)]
    cursor: Option<String>,
}

/// A fleet that the account belongs to, or is invited to
#[derive(Serialize, ToSchema)]
#[schema(as = Membership)]
pub(crate) struct MembershipView {
    fleet_id: Uuid,
    /// The fleet's name
    name: String,
    status: MemberStatus,
    /// Since when it is so
    since: At,
}

impl MembershipView {
    async fn read(tx: &mut Tx, member: FleetMember) -> Result<Option<Self>, ApiError> {
        let FleetMember { fleet_id, status, since, .. } = member;
        let fleet = fleets::find(tx, fleet_id).await?;
        Ok(fleet.map(|fleet| Self { fleet_id, name: fleet.draft.name.as_str().to_owned(), status, since }))
    }
}

/// List the fleets of the own account, with invitations
#[utoipa::path(get, path = "/api/v1/me/fleets", operation_id = "list_own_fleets", tag = "me", params(PageQuery),
    responses((status = 200, description = "A page of fleets", body = MembershipPage), Invalid, Unavailable))]
pub(crate) async fn list(db: Data<Db>, Query(query): Query<PageQuery>, request: HttpRequest) -> Answer {
    let me = signed_in(&request)?;
    let page = query.by_id()?;
    let read = db.read(async |tx| {
        let mut found = members::of_account(tx, me.id, page.from, page.one_more()).await?;
        let cursor = page.cut(&mut found, |last| last.fleet_id);
        let mut items = Vec::new();
        for member in found {
            items.extend(MembershipView::read(tx, member).await?);
        }
        Ok::<_, ApiError>(MembershipPage { items, cursor })
    });
    Ok(HttpResponse::Ok().json(read.await?))
}

/// A fleet of the own account
#[utoipa::path(get, path = "/api/v1/me/fleets/{fleet_id}", operation_id = "get_own_fleet", tag = "me",
    params(("fleet_id" = Uuid, Path, description = "The fleet's id")),
    responses((status = 200, description = "The membership", body = MembershipView), NotFound, Unavailable))]
pub(crate) async fn show(db: Data<Db>, path: Path<String>, request: HttpRequest) -> Answer {
    let (me, id) = (signed_in(&request)?, path_id(&path)?);
    let read = db.read(async |tx| {
        let member = members::find(tx, id, me.id).await?.ok_or_else(not_found)?;
        Ok::<_, ApiError>(MembershipView::read(tx, member).await?.ok_or_else(not_found)?)
    });
    Ok(HttpResponse::Ok().json(read.await?))
}

/// Accept an invitation to a fleet
#[utoipa::path(post, path = "/api/v1/me/fleets/{fleet_id}/accept", operation_id = "accept_fleet", tag = "me",
    params(("fleet_id" = Uuid, Path, description = "The fleet's id")),
    responses((status = 200, description = "The membership", body = MembershipView), NotFound, Unavailable))]
pub(crate) async fn accept(db: Data<Db>, path: Path<String>, request: HttpRequest) -> Answer {
    let (me, id) = (signed_in(&request)?, path_id(&path)?);
    let accepted = db.write(async |tx| {
        let member = members::activate(tx, id, me.id).await?;
        Ok::<_, ApiError>(MembershipView::read(tx, member).await?.ok_or_else(not_found)?)
    });
    Ok(HttpResponse::Ok().json(accepted.await?))
}

/// Leave a fleet, or decline an invitation
///
/// The tokens of the account are no longer charged to the fleet.
#[utoipa::path(delete, path = "/api/v1/me/fleets/{fleet_id}", operation_id = "leave_fleet", tag = "me",
    params(("fleet_id" = Uuid, Path, description = "The fleet's id")),
    responses((status = 204, description = "The account does not belong to the fleet"), NotFound, Unavailable))]
pub(crate) async fn leave(db: Data<Db>, path: Path<String>, request: HttpRequest) -> Answer {
    let (me, id) = (signed_in(&request)?, path_id(&path)?);
    db.write(async |tx| Ok::<_, ApiError>(members::remove(tx, id, me.id).await?)).await?;
    Ok(HttpResponse::NoContent().finish())
}
