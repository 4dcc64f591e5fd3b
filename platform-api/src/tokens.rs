//! `/api/v1/tokens`: all tokens, for operators.

pub(crate) mod groups;
pub(crate) mod id_tags;
pub(crate) mod import;
mod report;
mod view;

use actix_web::web::{Data, Path, Payload, delete, get, patch, post, put};
use actix_web::{HttpRequest, HttpResponse};
use charging::accounts::audit::{self, Act};
use charging::tokens::{self, Filter, IdTag, Token, TokenDraft, TokenTerms};
use charging::{Db, Tx};
use http_server::openapi::refusals::{
    BodyTooLarge, BodyTooSlow, Conflict, ConflictingReuse, Invalid, NotFound, PreconditionFailed,
    Unavailable, UnsupportedMediaType,
};
use http_server::{Access, Problem, Query, Resource, body, caller, input, resource, slow_resource};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

pub(crate) use self::view::{TokenPage, TokenView};
use crate::auth::MAX_BODY;
use crate::error::{Answer, ApiError};
use crate::live::Live;
use crate::openapi::merge_patch;
use crate::paging::ById;
use crate::patch::{self, QueryId, if_matches, not_found, path_id};
use crate::permissions::{self, actor};
use crate::routes::OF_ANY_LENGTH;
use crate::{answer, idempotent};

pub(crate) fn resources() -> Vec<Resource> {
    const EDIT: Access = Access::Granted(permissions::EDIT_ACCESS);
    const MANY: &[(&str, Access)] = &[("GET, POST", EDIT)];
    const ONE: &[(&str, Access)] = &[("GET, PATCH, DELETE", EDIT)];
    const TAG: &[(&str, Access)] = &[("GET, PUT, DELETE", EDIT)];
    vec![
        resource("/api/v1/tokens", MANY).route(get().to(list)).route(post().to(create)),
        slow_resource("/api/v1/tokens/import", &[("POST", EDIT)], OF_ANY_LENGTH)
            .route(post().to(import::import)),
        resource("/api/v1/tokens/{token_id:[^/]*}", ONE)
            .without_query()
            .route(get().to(show))
            .route(patch().to(change))
            .route(delete().to(remove)),
        resource("/api/v1/tokens/{token_id:[^/]*}/bind-code", &[("POST", EDIT)])
            .without_query()
            .route(post().to(issue_code)),
        resource("/api/v1/token-groups", MANY).route(get().to(groups::list)).route(post().to(groups::create)),
        resource("/api/v1/token-groups/{group_id:[^/]*}", ONE)
            .without_query()
            .route(get().to(groups::show))
            .route(patch().to(groups::change))
            .route(delete().to(groups::remove)),
        resource("/api/v1/id-tags", &[("GET", EDIT)]).route(get().to(id_tags::list)),
        resource("/api/v1/id-tags/{id_tag:[^/]*}", TAG)
            .without_query()
            .route(get().to(id_tags::show))
            .route(put().to(id_tags::put))
            .route(delete().to(id_tags::remove)),
    ]
}

merge_patch! {
    /// A merge patch of a token
    TokenChange of TokenTerms
}

/// A new token, and the code of its card
#[derive(Serialize, ToSchema)]
pub(crate) struct CreatedToken {
    #[serde(flatten)]
    token: TokenView,
    /// The code to be printed on the card, if one was asked for. It is shown once
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    bind_code: Option<String>,
}

/// A code to be printed on a card
#[derive(Serialize, ToSchema)]
pub(crate) struct IssuedCode {
    /// The code. It is shown once, and works once
    bind_code: String,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TokenQuery {
    /// Tokens of this account
    #[serde(default, deserialize_with = "input::optional")]
    #[param(value_type = Option<Uuid>)]
    user_id: Option<QueryId>,
    /// Tokens of the group with this name
    #[serde(default, deserialize_with = "input::optional")]
    #[param(min_length = 1, max_length = 20, pattern = "^[!-~]+$")]
    group: Option<IdTag>,
    /// Tokens that are charged to this fleet
    #[serde(default, deserialize_with = "input::optional")]
    #[param(value_type = Option<Uuid>)]
    fleet_id: Option<QueryId>,
    /// Tokens whose uid or id tag begins so
    #[param(max_length = 36)]
    q: Option<String>,
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    limit: Option<String>,
    /// The cursor of the previous page
    #[param(pattern = "^[A-Za-z0-9_-]*$")]
    cursor: Option<String>,
}

/// List tokens
#[utoipa::path(get, path = "/api/v1/tokens", operation_id = "list_tokens", tag = "tokens", params(TokenQuery),
    responses((status = 200, description = "A page of tokens", body = TokenPage), Invalid, Unavailable))]
pub(crate) async fn list(db: Data<Db>, Query(query): Query<TokenQuery>) -> Answer {
    let filter = Filter {
        account: query.user_id.map(|id| id.0),
        fleet: query.fleet_id.map(|id| id.0),
        group: query.group,
        prefix: query.q.filter(|text| !text.is_empty()),
        with_id_tag: false,
    };
    page(&db, &filter, ById::ascending(query.limit.as_deref(), query.cursor.as_deref())?).await
}

/// A page of a list of tokens.
pub(crate) async fn page(db: &Db, filter: &Filter, page: ById) -> Answer {
    let (found, cursor) = found(db, filter, page).await?;
    let items = found.iter().map(TokenView::of).collect();
    Ok(HttpResponse::Ok().json(TokenPage { items, cursor }))
}

async fn found(db: &Db, filter: &Filter, page: ById) -> Result<(Vec<Token>, Option<String>), ApiError> {
    let mut found = db.read(async |tx| tokens::list(tx, filter, page.from, page.one_more()).await).await?;
    let cursor = page.cut(&mut found, |last| last.id);
    Ok((found, cursor))
}

/// Create a token
///
/// A card is bound to an account by `user_id`, or later by its owner with the code that is printed on it: `bind_code` issues
/// one, which only this answer shows. So such a request takes no `Idempotency-Key`, which would keep the code.
#[utoipa::path(post, path = "/api/v1/tokens", operation_id = "create_token", tag = "tokens", request_body = TokenDraft,
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$",
        description = "A repeat with the same key and body gets the first answer again, for 24 hours")),
    responses((status = 201, description = "The token", body = CreatedToken, headers(
        ("Location" = String, description = "Its path"), ("ETag" = String, description = "Its version"))),
        Invalid, Conflict, ConflictingReuse, BodyTooLarge, BodyTooSlow, UnsupportedMediaType, Unavailable))]
pub(crate) async fn create(db: Data<Db>, live: Data<Live>, request: HttpRequest, payload: Payload) -> Answer {
    http_server::query::none(&request)?;
    let body = body::read(&request, payload, MAX_BODY).await?;
    let actor = actor(&caller(&request));
    let has_key = request.headers().contains_key("idempotency-key");
    idempotent::once(&db, &live, &request, "POST /api/v1/tokens", &body, async |tx| {
        let draft: TokenDraft = body::document(&body)?;
        if has_key && draft.bind_code == Some(true) {
            let detail = "the code is shown once, so the answer is not kept: leave out `Idempotency-Key`";
            return Err(Problem::invalid("idempotency-key", detail).into());
        }
        let (token, code) = tokens::create(tx, &draft, Some(&actor)).await?;
        record(tx, "token.created", token.id, &actor).await?;
        let created =
            CreatedToken { token: TokenView::of(&token), bind_code: code.map(|code| code.reveal()) };
        Ok(answer::created(&format!("/api/v1/tokens/{}", token.id), token.version, &created))
    })
    .await
}

/// A token
#[utoipa::path(get, path = "/api/v1/tokens/{token_id}", operation_id = "get_token", tag = "tokens",
    params(("token_id" = Uuid, Path, description = "The token's id")),
    responses((status = 200, description = "The token", body = TokenView,
        headers(("ETag" = String, description = "Its version"))), NotFound, Unavailable))]
pub(crate) async fn show(db: Data<Db>, path: Path<String>) -> Answer {
    let id = path_id(&path)?;
    let token = db.read(async |tx| tokens::find(tx, id).await).await?.ok_or_else(not_found)?;
    Ok(answer::document(token.version, &TokenView::of(&token)))
}

/// Change a token
///
/// A merge patch (RFC 7396). A block by an operator is not lifted by the owner.
#[utoipa::path(patch, path = "/api/v1/tokens/{token_id}", operation_id = "change_token", tag = "tokens",
    request_body = TokenChange,
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
    let id = path_id(&path)?;
    let actor = actor(&caller(&request));
    let changed = db.write(async |tx| {
        let before = tokens::find(tx, id).await?.ok_or_else(not_found)?;
        if_matches(&request, before.version)?;
        let terms: TokenTerms = patch::merged(&before.terms, &body, &[])?;
        if terms == before.terms {
            return Ok(before);
        }
        let after = tokens::update(tx, &before, &before.driver_token, &terms, Some(&actor)).await?;
        record(tx, "token.changed", id, &actor).await?;
        Ok::<_, ApiError>(after)
    });
    let token = changed.await?;
    live.wake();
    Ok(answer::document(token.version, &TokenView::of(&token)))
}

/// Delete a token
#[utoipa::path(delete, path = "/api/v1/tokens/{token_id}", operation_id = "delete_token", tag = "tokens",
    params(("token_id" = Uuid, Path, description = "The token's id"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the version that is deleted", example = "\"1\"")),
    responses((status = 204, description = "It is deleted"), NotFound, PreconditionFailed, Unavailable))]
pub(crate) async fn remove(
    db: Data<Db>,
    live: Data<Live>,
    path: Path<String>,
    request: HttpRequest,
) -> Answer {
    let id = path_id(&path)?;
    let actor = actor(&caller(&request));
    db.write(async |tx| {
        let before = tokens::find(tx, id).await?.ok_or_else(not_found)?;
        if_matches(&request, before.version)?;
        tokens::remove(tx, &before, Some(&actor)).await?;
        Ok::<_, ApiError>(record(tx, "token.deleted", id, &actor).await?)
    })
    .await?;
    live.wake();
    Ok(HttpResponse::NoContent().finish())
}

/// Issue a code for a card
///
/// Its owner binds the card to an account with it. An earlier code of the card stops working.
#[utoipa::path(post, path = "/api/v1/tokens/{token_id}/bind-code", operation_id = "issue_bind_code", tag = "tokens",
    params(("token_id" = Uuid, Path, description = "The token's id")),
    responses((status = 200, description = "The code", body = IssuedCode), NotFound, Conflict, Unavailable))]
pub(crate) async fn issue_code(db: Data<Db>, path: Path<String>, request: HttpRequest) -> Answer {
    let id = path_id(&path)?;
    let actor = actor(&caller(&request));
    let code = db
        .write(async |tx| {
            let code = tokens::issue_code(tx, id).await?;
            record(tx, "token.code_issued", id, &actor).await?;
            Ok::<_, ApiError>(code)
        })
        .await?;
    let mut response = HttpResponse::Ok();
    response.insert_header(("cache-control", "no-store"));
    Ok(response.json(IssuedCode { bind_code: code.reveal() }))
}

/// Writes what an operator did to a token into the audit trail.
async fn record(
    tx: &mut Tx,
    action: &'static str,
    token: Uuid,
    actor: &str,
) -> Result<(), charging::DbError> {
    let act = Act { actor, action, subject: "token", subject_id: token, reason: None, data: json!({}) };
    audit::write(tx, &act).await
}
