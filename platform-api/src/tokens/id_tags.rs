//! `/api/v1/id-tags`: the OCPP face of tokens.

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use charging::tokens::id_tags::{self, IdTagDraft, IdTagStatus, Put};
use charging::tokens::{self, Filter, IdTag, Token, Whitelist};
use charging::{At, Db};
use common::ids::DriverToken;
use http_server::conditional::etag;
use http_server::openapi::refusals::{
    BodyTooLarge, BodyTooSlow, Conflict, Invalid, NotFound, PreconditionFailed, Unavailable,
    UnsupportedMediaType,
};
use http_server::{Problem, Query, body, caller};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{found, record};
use crate::answer;
use crate::auth::MAX_BODY;
use crate::error::{Answer, ApiError};
use crate::live::Live;
use crate::paging::ById;
use crate::patch::if_matches;
use crate::permissions::actor;

/// A page of id tags
#[derive(Serialize, ToSchema)]
#[schema(as = IdTags)]
pub(crate) struct IdTagPage {
    items: Vec<IdTagView>,
    /// The cursor of the next page; null at the end
    #[schema(required)]
    cursor: Option<String>,
}

/// An id tag, as OCPP sees it
#[derive(Serialize, ToSchema)]
#[schema(as = IdTagInfo)]
pub(crate) struct IdTagView {
    id_tag: IdTag,
    /// What a charger is answered
    status: IdTagStatus,
    /// When it expires
    #[schema(required)]
    expires_at: Option<At>,
    /// The tag of its group
    #[schema(required)]
    parent_id_tag: Option<IdTag>,
    /// When a charger may accept it without asking; null without an entry
    #[schema(required)]
    whitelist: Option<Whitelist>,
    /// Its name in the access lists; null without an entry
    #[schema(required)]
    driver_token: Option<DriverToken>,
    /// The account that it belongs to
    #[schema(required)]
    user_id: Option<Uuid>,
    /// Its token; null without an entry
    #[schema(required)]
    token_id: Option<Uuid>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct IdTagQuery {
    /// Tags that begin so
    #[param(max_length = 20)]
    q: Option<String>,
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    limit: Option<String>,
    /// The cursor of the previous page
    #[param(pattern = "^[A-Za-z0-9_-]*$")]
    cursor: Option<String>,
}

/// An id tag in a path
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only documentation")]
pub(crate) struct TagPath {
    /// The tag, in upper or lower case
    #[param(min_length = 1, max_length = 20, pattern = "^[!-~]+$")]
    id_tag: String,
}

impl IdTagView {
    /// `None` for a token without an id tag.
    fn of(token: &Token) -> Option<Self> {
        Some(Self {
            id_tag: token.id_tag.clone()?,
            status: token.status(At::now()).into(),
            expires_at: token.terms.expires_at,
            parent_id_tag: token.terms.group.clone(),
            whitelist: Some(token.terms.whitelist),
            driver_token: Some(token.driver_token.clone()),
            user_id: token.terms.user_id,
            token_id: Some(token.id),
        })
    }

    fn invalid(id_tag: IdTag) -> Self {
        Self {
            id_tag,
            status: IdTagStatus::Invalid,
            expires_at: None,
            parent_id_tag: None,
            whitelist: None,
            driver_token: None,
            user_id: None,
            token_id: None,
        }
    }
}

/// List id tags
#[utoipa::path(get, path = "/api/v1/id-tags", operation_id = "list_id_tags", tag = "tokens", params(IdTagQuery),
    responses((status = 200, description = "A page of id tags", body = IdTagPage), Invalid, Unavailable))]
pub(crate) async fn list(db: Data<Db>, Query(query): Query<IdTagQuery>) -> Answer {
    let prefix = query.q.filter(|text| !text.is_empty());
    let filter = Filter { prefix, with_id_tag: true, ..Filter::default() };
    let page = ById::ascending(query.limit.as_deref(), query.cursor.as_deref())?;
    let (found, cursor) = found(&db, &filter, page).await?;
    let items = found.iter().filter_map(IdTagView::of).collect();
    Ok(HttpResponse::Ok().json(IdTagPage { items, cursor }))
}

/// An id tag
#[utoipa::path(get, path = "/api/v1/id-tags/{id_tag}", operation_id = "get_id_tag", tag = "tokens",
    params(TagPath),
    responses((status = 200, description = "The id tag", body = IdTagView,
        headers(("ETag" = String, description = "Its version"))), NotFound, Unavailable))]
pub(crate) async fn show(db: Data<Db>, path: Path<String>) -> Answer {
    let tag: IdTag = path.parse().map_err(|_| no_tag())?;
    let token = db.read(async |tx| tokens::by_id_tag(tx, &tag).await).await?.ok_or_else(no_tag)?;
    let view = IdTagView::of(&token).ok_or_else(no_tag)?;
    Ok(answer::document(token.version, &view))
}

/// Create or replace an id tag
///
/// A tag that is new becomes a token of the type `RFID` with the same uid. What is not given is as in a new tag, except for
/// `driver_token`, which stays.
#[utoipa::path(put, path = "/api/v1/id-tags/{id_tag}", operation_id = "put_id_tag", tag = "tokens",
    request_body = IdTagDraft,
    params(TagPath,
        ("If-Match" = Option<String>, Header, description = "The ETag of the version that is replaced", example = "\"1\"")),
    responses((status = 200, description = "The id tag, which was there before or is `Invalid`", body = IdTagView,
            headers(("ETag" = String, description = "Its new version"))),
        (status = 201, description = "The new id tag", body = IdTagView, headers(
            ("Location" = String, description = "Its path"), ("ETag" = String, description = "Its version"))),
        Invalid, Conflict, PreconditionFailed, BodyTooLarge, BodyTooSlow, UnsupportedMediaType, Unavailable))]
pub(crate) async fn put(
    db: Data<Db>,
    live: Data<Live>,
    path: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Answer {
    let body = body::read(&request, payload, MAX_BODY).await?;
    let tag: IdTag = path.parse().map_err(|why| Problem::invalid("id_tag", why))?;
    let actor = actor(&caller(&request));
    let put = db.write(async |tx| {
        let before = tokens::by_id_tag(tx, &tag).await?;
        if_matches(&request, before.as_ref().map_or(0, |token| token.version))?;
        let draft: IdTagDraft = body::document(&body)?;
        let put = id_tags::put(tx, &tag, &draft, Some(&actor)).await?;
        match (&put, before) {
            (Put::Created(token), _) => record(tx, "token.created", token.id, &actor).await?,
            (Put::Replaced(token), _) => record(tx, "token.changed", token.id, &actor).await?,
            (Put::Deleted, Some(before)) => record(tx, "token.deleted", before.id, &actor).await?,
            (Put::Deleted, None) => {}
        }
        Ok::<_, ApiError>(put)
    });
    let put = put.await?;
    live.wake();
    match put {
        Put::Deleted => Ok(HttpResponse::Ok().json(IdTagView::invalid(tag))),
        Put::Replaced(token) => {
            let view = IdTagView::of(&token).ok_or_else(no_tag)?;
            Ok(answer::document(token.version, &view))
        }
        Put::Created(token) => {
            let view = IdTagView::of(&token).ok_or_else(no_tag)?;
            let place = request.path().to_owned();
            let mut response = HttpResponse::Created();
            response.insert_header(("location", place)).insert_header(("etag", etag(token.version)));
            Ok(response.json(view))
        }
    }
}

/// Delete an id tag, and its token
#[utoipa::path(delete, path = "/api/v1/id-tags/{id_tag}", operation_id = "delete_id_tag", tag = "tokens",
    params(TagPath,
        ("If-Match" = Option<String>, Header, description = "The ETag of the version that is deleted", example = "\"1\"")),
    responses((status = 204, description = "It is deleted"), NotFound, PreconditionFailed, Unavailable))]
pub(crate) async fn remove(
    db: Data<Db>,
    live: Data<Live>,
    path: Path<String>,
    request: HttpRequest,
) -> Answer {
    let tag: IdTag = path.parse().map_err(|_| no_tag())?;
    let actor = actor(&caller(&request));
    db.write(async |tx| {
        let before = tokens::by_id_tag(tx, &tag).await?.ok_or_else(no_tag)?;
        if_matches(&request, before.version)?;
        tokens::remove(tx, &before, Some(&actor)).await?;
        Ok::<_, ApiError>(record(tx, "token.deleted", before.id, &actor).await?)
    })
    .await?;
    live.wake();
    Ok(HttpResponse::NoContent().finish())
}

fn no_tag() -> Problem {
    Problem::not_found("id_tag", "there is no such id tag")
}
