//! `/api/v1/me/tokens`: the tokens of the own account.

use actix_web::web::{Data, Path, Payload, delete, get, patch, post};
use actix_web::{HttpRequest, HttpResponse};
use charging::tokens::{self, BindCode, Filter, Token, TokenStatus, TokenType};
use charging::{Db, Tx};
use http_server::openapi::refusals::{
    BodyTooLarge, BodyTooSlow, Conflict, ConflictingReuse, Invalid, NotFound, PreconditionFailed,
    TooManyRequests, Unavailable, UnsupportedMediaType,
};
use http_server::{Access, Problem, Query, Resource, body, caller, resource};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::accounts::{Parts, signed_in};
use crate::auth::MAX_BODY;
use crate::error::{Answer, ApiError};
use crate::live::Live;
use crate::openapi::merge_patch;
use crate::paging::PageQuery;
use crate::patch::{self, if_matches, not_found, path_id};
use crate::permissions::{self, actor};
use crate::tokens::{TokenPage, TokenView, page};
use crate::{answer, idempotent};

pub(super) fn resources() -> Vec<Resource> {
    const OWN: Access = Access::Granted(permissions::OWN_ACCOUNT);
    vec![
        resource("/api/v1/me/tokens", &[("GET, POST", OWN)]).route(get().to(list)).route(post().to(create)),
        resource("/api/v1/me/tokens/bind", &[("POST", OWN)]).without_query().route(post().to(bind)),
        resource("/api/v1/me/tokens/{token_id:[^/]*}", &[("GET, PATCH, DELETE", OWN)])
            .without_query()
            .route(get().to(show))
            .route(patch().to(change))
            .route(delete().to(remove)),
    ]
}

/// A new token of the own account
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OwnToken {
    /// Its type: `APP_USER`, also if it is absent. A card is bound by the code that is printed on it
    #[serde(rename = "type")]
    kind: Option<TokenType>,
}

/// What the owner may change of a token
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OwnTokenTerms {
    /// `active` or `blocked`
    status: TokenStatus,
}

merge_patch! {
    /// A merge patch of a token of the own account
    OwnTokenChange of OwnTokenTerms
}

/// The code that is printed on a card
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PrintedCode {
    /// The code; case, hyphens and spaces do not matter
    #[schema(max_length = 100, example = "ABCD-EFGH-2345")]
    code: String,
}

/// List the own tokens
#[utoipa::path(get, path = "/api/v1/me/tokens", operation_id = "list_own_tokens", tag = "me", params(PageQuery),
    responses((status = 200, description = "A page of tokens", body = TokenPage), Invalid, Unavailable))]
pub(crate) async fn list(db: Data<Db>, Query(query): Query<PageQuery>, request: HttpRequest) -> Answer {
    let filter = Filter { account: Some(signed_in(&request)?.id), ..Filter::default() };
    page(&db, &filter, query.by_id()?).await
}

/// Create a token for the own account
///
/// It is of the type `APP_USER`, with random names.
#[utoipa::path(post, path = "/api/v1/me/tokens", operation_id = "create_own_token", tag = "me", request_body = OwnToken,
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$",
        description = "A repeat with the same key and body gets the first answer again, for 24 hours")),
    responses((status = 201, description = "The token", body = TokenView, headers(
        ("Location" = String, description = "Its path"), ("ETag" = String, description = "Its version"))),
        Invalid, Conflict, ConflictingReuse, BodyTooLarge, BodyTooSlow, UnsupportedMediaType, Unavailable))]
pub(crate) async fn create(db: Data<Db>, live: Data<Live>, request: HttpRequest, payload: Payload) -> Answer {
    http_server::query::none(&request)?;
    let body = body::read(&request, payload, MAX_BODY).await?;
    let (me, actor) = (signed_in(&request)?, actor(&caller(&request)));
    idempotent::once(&db, &live, &request, "POST /api/v1/me/tokens", &body, async |tx| {
        let OwnToken { kind } = body::document(&body)?;
        if kind.is_some_and(|kind| kind != TokenType::AppUser) {
            let detail =
                "expected APP_USER; a card is bound by the code that is printed on it, or by an operator";
            return Err(Problem::invalid("type", detail).into());
        }
        let token = tokens::create_app_token(tx, me.id, Some(&actor)).await?;
        let place = format!("/api/v1/me/tokens/{}", token.id);
        Ok(answer::created(&place, token.version, &TokenView::of(&token)))
    })
    .await
}

/// Bind a card to the own account
///
/// By the code that is printed on it, which works once.
#[utoipa::path(post, path = "/api/v1/me/tokens/bind", operation_id = "bind_token", tag = "me", request_body = PrintedCode,
    responses((status = 200, description = "The token", body = TokenView,
        headers(("ETag" = String, description = "Its version"))),
        Invalid, NotFound, TooManyRequests, BodyTooLarge, BodyTooSlow, UnsupportedMediaType, Unavailable))]
pub(crate) async fn bind(
    db: Data<Db>,
    live: Data<Live>,
    parts: Data<Parts>,
    request: HttpRequest,
    payload: Payload,
) -> Answer {
    let body = body::read(&request, payload, MAX_BODY).await?;
    let PrintedCode { code } = body::json(&body)?;
    let (me, actor) = (signed_in(&request)?, actor(&caller(&request)));
    parts.limits.address(&request)?;
    parts.limits.name(&me.id.to_string()).await;
    // The same for a code that is malformed, wrong or used.
    let unknown = || Problem::not_found("code", "the code is wrong, or was used");
    let code: BindCode = code.parse().map_err(|_| unknown())?;
    let bound = db.write(async |tx| tokens::bind(tx, me.id, &code, Some(&actor)).await).await?;
    let token = bound.ok_or_else(unknown)?;
    live.wake();
    Ok(answer::document(token.version, &TokenView::of(&token)))
}

/// A token of the own account
#[utoipa::path(get, path = "/api/v1/me/tokens/{token_id}", operation_id = "get_own_token", tag = "me",
    params(("token_id" = Uuid, Path, description = "The token's id")),
    responses((status = 200, description = "The token", body = TokenView,
        headers(("ETag" = String, description = "Its version"))), NotFound, Unavailable))]
pub(crate) async fn show(db: Data<Db>, path: Path<String>, request: HttpRequest) -> Answer {
    let (me, id) = (signed_in(&request)?, path_id(&path)?);
    let token = db.read(async |tx| own(tx, me.id, id).await).await?;
    Ok(answer::document(token.version, &TokenView::of(&token)))
}

/// Block or unblock a token of the own account
///
/// A block by an operator stays.
#[utoipa::path(patch, path = "/api/v1/me/tokens/{token_id}", operation_id = "change_own_token", tag = "me",
    request_body = OwnTokenChange,
    params(("token_id" = Uuid, Path, description = "The token's id"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the version that is changed", example = "\"1\"")),
    responses((status = 200, description = "The token", body = TokenView,
        headers(("ETag" = String, description = "Its new version"))),
        Invalid, NotFound, Conflict, PreconditionFailed, BodyTooLarge, BodyTooSlow, UnsupportedMediaType, Unavailable))]
pub(crate) async fn change(
    db: Data<Db>,
    live: Data<Live>,
    path: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Answer {
    let body = body::read(&request, payload, MAX_BODY).await?;
    let (me, id) = (signed_in(&request)?, path_id(&path)?);
    let actor = actor(&caller(&request));
    let changed = db.write(async |tx| {
        let before = own(tx, me.id, id).await?;
        if_matches(&request, before.version)?;
        let terms = OwnTokenTerms { status: before.terms.status };
        let OwnTokenTerms { status } = patch::merged(&terms, &body, &[])?;
        Ok::<_, ApiError>(tokens::set_own_status(tx, &before, status, Some(&actor)).await?)
    });
    let token = changed.await?;
    live.wake();
    Ok(answer::document(token.version, &TokenView::of(&token)))
}

/// Delete a token of the own account
///
/// A card that is deleted admits to nothing any more.
#[utoipa::path(delete, path = "/api/v1/me/tokens/{token_id}", operation_id = "delete_own_token", tag = "me",
    params(("token_id" = Uuid, Path, description = "The token's id"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the version that is deleted", example = "\"1\"")),
    responses((status = 204, description = "It is deleted"), NotFound, PreconditionFailed, Unavailable))]
pub(crate) async fn remove(
    db: Data<Db>,
    live: Data<Live>,
    path: Path<String>,
    request: HttpRequest,
) -> Answer {
    let (me, id) = (signed_in(&request)?, path_id(&path)?);
    let actor = actor(&caller(&request));
    db.write(async |tx| {
        let before = own(tx, me.id, id).await?;
        if_matches(&request, before.version)?;
        Ok::<_, ApiError>(tokens::remove(tx, &before, Some(&actor)).await?)
    })
    .await?;
    live.wake();
    Ok(HttpResponse::NoContent().finish())
}

/// A token of this account; 404 for that of another one.
async fn own(tx: &mut Tx, account: Uuid, id: Uuid) -> Result<Token, ApiError> {
    let token = tokens::find(tx, id).await?.filter(|token| token.terms.user_id == Some(account));
    Ok(token.ok_or_else(not_found)?)
}
