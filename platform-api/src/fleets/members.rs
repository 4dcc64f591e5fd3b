//! `/api/v1/fleets/{fleet_id}/members`: who belongs to a fleet.

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use charging::accounts::{self, Username};
use charging::fleets::members;
use charging::fleets::{FleetMember, MemberStatus};
use charging::{At, Db, Tx};
use http_server::openapi::refusals::{
    BodyTooLarge, BodyTooSlow, Conflict, ConflictingReuse, Invalid, NotFound, TooManyRequests, Unavailable,
    UnsupportedMediaType,
};
use http_server::{Problem, Query, body, caller, input};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{payer, visible};
use crate::accounts::Parts;
use crate::auth::MAX_BODY;
use crate::error::{Answer, ApiError};
use crate::idempotent;
use crate::live::Live;
use crate::paging::PageQuery;
use crate::patch::{QueryId, not_found, path_id};

/// A page of members
#[derive(Serialize, ToSchema)]
#[schema(as = FleetMembers)]
pub(crate) struct MemberPage {
    items: Vec<MemberView>,
    /// The cursor of the next page; null at the end
    #[schema(required)]
    cursor: Option<String>,
}

/// A member of a fleet
#[derive(Serialize, ToSchema)]
#[schema(as = FleetMember)]
pub(crate) struct MemberView {
    user_id: Uuid,
    username: String,
    status: MemberStatus,
    /// Since when it has this status
    since: At,
}

/// A new member, by one of the two
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewFleetMember)]
pub(crate) struct NewMember {
    #[serde(default, deserialize_with = "input::optional")]
    #[schema(value_type = Option<Uuid>)]
    user_id: Option<QueryId>,
    username: Option<Username>,
}

impl MemberView {
    /// `None` if the account was erased meanwhile.
    async fn read(tx: &mut Tx, member: FleetMember) -> Result<Option<Self>, ApiError> {
        let FleetMember { account_id, status, since, .. } = member;
        let account = accounts::find(tx, account_id).await?;
        Ok(account.map(|account| Self { user_id: account_id, username: account.username, status, since }))
    }
}

/// List the members of a fleet
#[utoipa::path(get, path = "/api/v1/fleets/{fleet_id}/members", operation_id = "list_fleet_members", tag = "fleets",
    params(("fleet_id" = Uuid, Path, description = "The fleet's id"), PageQuery),
    responses((status = 200, description = "A page of members", body = MemberPage), Invalid, NotFound, Unavailable))]
pub(crate) async fn list(
    db: Data<Db>,
    path: Path<String>,
    Query(query): Query<PageQuery>,
    request: HttpRequest,
) -> Answer {
    let (id, caller) = (path_id(&path)?, caller(&request));
    let page = query.by_id()?;
    let read = db.read(async |tx| {
        visible(tx, &caller, id).await?;
        let mut found = members::list(tx, id, page.from, page.one_more()).await?;
        let cursor = page.cut(&mut found, |last| last.account_id);
        let mut items = Vec::new();
        for member in found {
            items.extend(MemberView::read(tx, member).await?);
        }
        Ok::<_, ApiError>(MemberPage { items, cursor })
    });
    Ok(HttpResponse::Ok().json(read.await?))
}

/// Add or invite a member
///
/// By an operator the account is a member at once. By the payer it is invited, and becomes a member once it accepts.
#[utoipa::path(post, path = "/api/v1/fleets/{fleet_id}/members", operation_id = "add_fleet_member", tag = "fleets",
    request_body = NewMember,
    params(("fleet_id" = Uuid, Path, description = "The fleet's id"),
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$",
        description = "A repeat with the same key and body gets the first answer again, for 24 hours")),
    responses((status = 201, description = "The member", body = MemberView, headers(
        ("Location" = String, description = "Its path"))), Invalid, NotFound, Conflict, ConflictingReuse,
        TooManyRequests, BodyTooLarge, BodyTooSlow, UnsupportedMediaType, Unavailable))]
pub(crate) async fn add(
    db: Data<Db>,
    live: Data<Live>,
    parts: Data<Parts>,
    path: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Answer {
    http_server::query::none(&request)?;
    let body = body::read(&request, payload, MAX_BODY).await?;
    let (id, caller) = (path_id(&path)?, caller(&request));
    let status = match payer(&caller) {
        // Names can be tried out here, as at registration.
        Some(_) => {
            parts.limits.address(&request)?;
            MemberStatus::Invited
        }
        None => MemberStatus::Active,
    };
    // The key is about this fleet.
    let digest = [id.as_bytes().as_slice(), &body[..]].concat();
    idempotent::once(&db, &live, &request, "POST /api/v1/fleets/members", &digest, async |tx| {
        visible(tx, &caller, id).await?;
        let account = account(tx, body::document(&body)?).await?;
        let member = members::add(tx, id, account, status).await?;
        let view = MemberView::read(tx, member).await?.ok_or_else(not_found)?;
        Ok(charging::idempotency::Answer {
            status: 201,
            headers: serde_json::json!({"location": format!("/api/v1/fleets/{id}/members/{account}")}),
            body: serde_json::to_string(&view).unwrap_or_default(),
        })
    })
    .await
}

async fn account(tx: &mut Tx, new: NewMember) -> Result<Uuid, ApiError> {
    match (new.user_id, new.username) {
        (Some(QueryId(id)), None) => Ok(id),
        (None, Some(name)) => {
            let found = accounts::by_login(tx, name.as_str()).await?;
            let unknown = || Problem::conflict("username", "there is no account with this name");
            Ok(found.ok_or_else(unknown)?.id)
        }
        _ => Err(Problem::invalid("user_id", "expected either user_id or username").into()),
    }
}

/// A member of a fleet
#[utoipa::path(get, path = "/api/v1/fleets/{fleet_id}/members/{user_id}", operation_id = "get_fleet_member", tag = "fleets",
    params(("fleet_id" = Uuid, Path, description = "The fleet's id"),
        ("user_id" = Uuid, Path, description = "The account's id")),
    responses((status = 200, description = "The member", body = MemberView), NotFound, Unavailable))]
pub(crate) async fn show(db: Data<Db>, path: Path<(String, String)>, request: HttpRequest) -> Answer {
    let (id, account, caller) = (path_id(&path.0)?, path_id(&path.1)?, caller(&request));
    let read = db.read(async |tx| {
        visible(tx, &caller, id).await?;
        let member = members::find(tx, id, account).await?.ok_or_else(not_found)?;
        Ok::<_, ApiError>(MemberView::read(tx, member).await?.ok_or_else(not_found)?)
    });
    Ok(HttpResponse::Ok().json(read.await?))
}

/// Remove a member, or withdraw an invitation
///
/// The tokens of the account are no longer charged to the fleet.
#[utoipa::path(delete, path = "/api/v1/fleets/{fleet_id}/members/{user_id}", operation_id = "remove_fleet_member",
    tag = "fleets",
    params(("fleet_id" = Uuid, Path, description = "The fleet's id"),
        ("user_id" = Uuid, Path, description = "The account's id")),
    responses((status = 204, description = "It is removed"), NotFound, Unavailable))]
pub(crate) async fn remove(db: Data<Db>, path: Path<(String, String)>, request: HttpRequest) -> Answer {
    let (id, account, caller) = (path_id(&path.0)?, path_id(&path.1)?, caller(&request));
    db.write(async |tx| {
        visible(tx, &caller, id).await?;
        Ok::<_, ApiError>(members::remove(tx, id, account).await?)
    })
    .await?;
    Ok(HttpResponse::NoContent().finish())
}
