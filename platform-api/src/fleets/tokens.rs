//! `/api/v1/fleets/{fleet_id}/tokens`: the tokens that are charged to a fleet.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use charging::tokens::{self, Filter, Token};
use charging::{Db, Tx};
use http_server::openapi::refusals::{Conflict, Invalid, NotFound, PreconditionFailed, Unavailable};
use http_server::{Caller, Query, caller};
use uuid::Uuid;

use super::visible;
use crate::answer;
use crate::error::{Answer, ApiError};
use crate::paging::PageQuery;
use crate::patch::{not_found, path_id};
use crate::permissions::actor;
use crate::tokens::{TokenPage, TokenView, page};

/// List the tokens of a fleet
#[utoipa::path(get, path = "/api/v1/fleets/{fleet_id}/tokens", operation_id = "list_fleet_tokens", tag = "fleets",
    params(("fleet_id" = Uuid, Path, description = "The fleet's id"), PageQuery),
    responses((status = 200, description = "A page of tokens", body = TokenPage), Invalid, NotFound, Unavailable))]
pub(crate) async fn list(
    db: Data<Db>,
    path: Path<String>,
    Query(query): Query<PageQuery>,
    request: HttpRequest,
) -> Answer {
    let (id, caller) = (path_id(&path)?, caller(&request));
    db.read(async |tx| visible(tx, &caller, id).await).await?;
    let filter = Filter { fleet: Some(id), ..Filter::default() };
    page(&db, &filter, query.by_id()?).await
}

/// Charge a token to a fleet
///
/// Its account must be an active member.
#[utoipa::path(put, path = "/api/v1/fleets/{fleet_id}/tokens/{token_id}", operation_id = "add_fleet_token", tag = "fleets",
    params(("fleet_id" = Uuid, Path, description = "The fleet's id"),
        ("token_id" = Uuid, Path, description = "The token's id")),
    responses((status = 200, description = "The token", body = TokenView,
        headers(("ETag" = String, description = "Its new version"))), NotFound, Conflict, PreconditionFailed, Unavailable))]
pub(crate) async fn add(db: Data<Db>, path: Path<(String, String)>, request: HttpRequest) -> Answer {
    let (id, token, caller) = (path_id(&path.0)?, path_id(&path.1)?, caller(&request));
    let put = db.write(async |tx| {
        visible(tx, &caller, id).await?;
        let before = of_member(tx, &caller, id, token).await?;
        set_fleet(tx, &caller, &before, Some(id)).await
    });
    let token = put.await?;
    Ok(answer::document(token.version, &TokenView::of(&token)))
}

/// Charge a token to its account again
#[utoipa::path(delete, path = "/api/v1/fleets/{fleet_id}/tokens/{token_id}", operation_id = "remove_fleet_token",
    tag = "fleets",
    params(("fleet_id" = Uuid, Path, description = "The fleet's id"),
        ("token_id" = Uuid, Path, description = "The token's id")),
    responses((status = 204, description = "It is not charged to the fleet"), NotFound, Conflict, PreconditionFailed,
        Unavailable))]
pub(crate) async fn remove(db: Data<Db>, path: Path<(String, String)>, request: HttpRequest) -> Answer {
    let (id, token, caller) = (path_id(&path.0)?, path_id(&path.1)?, caller(&request));
    db.write(async |tx| {
        visible(tx, &caller, id).await?;
        let before = tokens::find(tx, token).await?.filter(|token| token.terms.fleet_id == Some(id));
        set_fleet(tx, &caller, &before.ok_or_else(not_found)?, None).await
    })
    .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// A token of a member of the fleet: to the payer others do not exist, and one that another fleet pays for stays there.
async fn of_member(tx: &mut Tx, caller: &Caller, fleet: Uuid, id: Uuid) -> Result<Token, ApiError> {
    let token = tokens::find(tx, id).await?.ok_or_else(not_found)?;
    if super::payer(caller).is_none() {
        return Ok(token);
    }
    let account = token.terms.user_id.ok_or_else(not_found)?;
    charging::fleets::members::find(tx, fleet, account).await?.ok_or_else(not_found)?;
    if token.terms.fleet_id.is_some_and(|other| other != fleet) {
        return Err(http_server::Problem::conflict("fleet_id", "another fleet pays for this token").into());
    }
    Ok(token)
}

async fn set_fleet(
    tx: &mut Tx,
    caller: &Caller,
    before: &Token,
    fleet_id: Option<Uuid>,
) -> Result<Token, ApiError> {
    if before.terms.fleet_id == fleet_id {
        return Ok(before.clone());
    }
    Ok(tokens::set_fleet(tx, before, fleet_id, Some(&actor(caller))).await?)
}
