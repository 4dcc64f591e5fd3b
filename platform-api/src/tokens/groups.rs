//! `/api/v1/token-groups`: groups of tokens, OCPP's parent id tags.

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use charging::tokens::{Group, IdTag, groups};
use charging::{At, Db};
use http_server::openapi::refusals::{
    BodyTooLarge, BodyTooSlow, Conflict, ConflictingReuse, Invalid, NotFound, PreconditionFailed,
    Unavailable, UnsupportedMediaType,
};
use http_server::{Query, body};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::auth::MAX_BODY;
use crate::error::{Answer, ApiError};
use crate::live::Live;
use crate::openapi::merge_patch;
use crate::paging::PageQuery;
use crate::patch::{self, if_matches, not_found, path_id};
use crate::{answer, idempotent};

/// A page of groups
#[derive(Serialize, ToSchema)]
#[schema(as = TokenGroups)]
pub(crate) struct GroupPage {
    items: Vec<GroupView>,
    /// The cursor of the next page; null at the end
    #[schema(required)]
    cursor: Option<String>,
}

/// A group of tokens
#[derive(Serialize, ToSchema)]
#[schema(as = TokenGroup)]
pub(crate) struct GroupView {
    id: Uuid,
    /// Its name, the parent id tag
    name: IdTag,
    created_at: At,
    updated_at: At,
}

/// A group of tokens, as an operator writes it
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TokenGroupDraft)]
pub(crate) struct GroupDraft {
    /// Its name, the parent id tag
    name: IdTag,
}

merge_patch! {
    /// A merge patch of a group
    TokenGroupChange of GroupDraft
}

impl From<Group> for GroupView {
    fn from(group: Group) -> Self {
        let Group { id, name, created_at, updated_at, .. } = group;
        Self { id, name, created_at, updated_at }
    }
}

/// List groups of tokens
#[utoipa::path(get, path = "/api/v1/token-groups", operation_id = "list_token_groups", tag = "tokens", params(PageQuery),
    responses((status = 200, description = "A page of groups", body = GroupPage), Invalid, Unavailable))]
pub(crate) async fn list(db: Data<Db>, Query(query): Query<PageQuery>) -> Answer {
    let page = query.by_id()?;
    let mut found = db.read(async move |tx| groups::list(tx, page.from, page.one_more()).await).await?;
    let cursor = page.cut(&mut found, |last| last.id);
    let items = found.into_iter().map(GroupView::from).collect();
    Ok(HttpResponse::Ok().json(GroupPage { items, cursor }))
}

/// Create a group of tokens
#[utoipa::path(post, path = "/api/v1/token-groups", operation_id = "create_token_group", tag = "tokens",
    request_body = GroupDraft,
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$",
        description = "A repeat with the same key and body gets the first answer again, for 24 hours")),
    responses((status = 201, description = "The group", body = GroupView, headers(
        ("Location" = String, description = "Its path"), ("ETag" = String, description = "Its version"))),
        Invalid, Conflict, ConflictingReuse, BodyTooLarge, BodyTooSlow, UnsupportedMediaType, Unavailable))]
pub(crate) async fn create(db: Data<Db>, live: Data<Live>, request: HttpRequest, payload: Payload) -> Answer {
    http_server::query::none(&request)?;
    let body = body::read(&request, payload, MAX_BODY).await?;
    idempotent::once(&db, &live, &request, "POST /api/v1/token-groups", &body, async |tx| {
        let draft: GroupDraft = body::document(&body)?;
        let group = groups::create(tx, &draft.name).await?;
        let (place, version) = (format!("/api/v1/token-groups/{}", group.id), group.version);
        Ok(answer::created(&place, version, &GroupView::from(group)))
    })
    .await
}

/// A group of tokens
#[utoipa::path(get, path = "/api/v1/token-groups/{group_id}", operation_id = "get_token_group", tag = "tokens",
    params(("group_id" = Uuid, Path, description = "The group's id")),
    responses((status = 200, description = "The group", body = GroupView,
        headers(("ETag" = String, description = "Its version"))), NotFound, Unavailable))]
pub(crate) async fn show(db: Data<Db>, path: Path<String>) -> Answer {
    let id = path_id(&path)?;
    let group = db.read(async move |tx| groups::find(tx, id).await).await?.ok_or_else(not_found)?;
    Ok(answer::document(group.version, &GroupView::from(group)))
}

/// Rename a group of tokens
#[utoipa::path(patch, path = "/api/v1/token-groups/{group_id}", operation_id = "change_token_group", tag = "tokens",
    request_body = TokenGroupChange,
    params(("group_id" = Uuid, Path, description = "The group's id"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the version that is changed", example = "\"1\"")),
    responses((status = 200, description = "The group", body = GroupView,
        headers(("ETag" = String, description = "Its new version"))),
        Invalid, NotFound, Conflict, PreconditionFailed, BodyTooLarge, BodyTooSlow, UnsupportedMediaType, Unavailable))]
pub(crate) async fn change(
    db: Data<Db>,
    path: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Answer {
    let body = body::read(&request, payload, MAX_BODY).await?;
    let id = path_id(&path)?;
    let changed = db.write(async |tx| {
        let before = groups::find(tx, id).await?.ok_or_else(not_found)?;
        if_matches(&request, before.version)?;
        let draft = GroupDraft { name: before.name.clone() };
        let wanted: GroupDraft = patch::merged(&draft, &body, &[])?;
        if wanted == draft {
            return Ok(before);
        }
        Ok::<_, ApiError>(groups::rename(tx, id, &wanted.name).await?)
    });
    let group = changed.await?;
    Ok(answer::document(group.version, &GroupView::from(group)))
}

/// Delete a group that has no tokens
#[utoipa::path(delete, path = "/api/v1/token-groups/{group_id}", operation_id = "delete_token_group", tag = "tokens",
    params(("group_id" = Uuid, Path, description = "The group's id"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the version that is deleted", example = "\"1\"")),
    responses((status = 204, description = "It is deleted"), NotFound, Conflict, PreconditionFailed, Unavailable))]
pub(crate) async fn remove(db: Data<Db>, path: Path<String>, request: HttpRequest) -> Answer {
    let id = path_id(&path)?;
    db.write(async |tx| {
        let before = groups::find(tx, id).await?.ok_or_else(not_found)?;
        if_matches(&request, before.version)?;
        Ok::<_, ApiError>(groups::delete(tx, id).await?)
    })
    .await?;
    Ok(HttpResponse::NoContent().finish())
}
