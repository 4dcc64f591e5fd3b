//! `/api/v1/locations`: sites with stations.

mod list;
mod view;

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use charging::Db;
use charging::stations::{LocationDraft, locations};
use http_server::body;
use http_server::conditional::IfMatch;
use http_server::openapi::refusals::{
    BodyTooLarge, BodyTooSlow, Conflict, ConflictingReuse, Invalid, NotFound, PreconditionFailed,
    PreconditionRequired, Unavailable, UnsupportedMediaType,
};

pub(crate) use self::list::{__path_list, list};
pub(crate) use self::view::{LocationChange, LocationView};
use crate::error::{Answer, ApiError};
use crate::live::Live;
use crate::patch::{self, path_id};
use crate::{answer, idempotent};

/// Opening times of a hundred periods need less.
const MAX_BODY: usize = 64 * 1024;

/// Create a location
#[utoipa::path(post, path = "/api/v1/locations", operation_id = "create_location", tag = "locations",
    request_body = LocationDraft, params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255,
        pattern = "^[!-~]+$", description = "A repeat with the same key and body gets the first answer again, for 24 hours")),
    responses((status = 201, description = "The location", body = LocationView, headers(
        ("Location" = String, description = "Its path"), ("ETag" = String, description = "Its version"))),
        Invalid, Conflict, ConflictingReuse, BodyTooLarge, BodyTooSlow, UnsupportedMediaType, Unavailable))]
pub(crate) async fn create(db: Data<Db>, live: Data<Live>, request: HttpRequest, payload: Payload) -> Answer {
    let body = body::read(&request, payload, MAX_BODY).await?;
    idempotent::once(&db, &live, &request, "POST /api/v1/locations", &body, async |tx| {
        let draft: LocationDraft = body::document(&body)?;
        let location = locations::create(tx, &draft).await?;
        let place = format!("/api/v1/locations/{}", location.id);
        Ok(answer::created(&place, location.version, &LocationView::of(&location)))
    })
    .await
}

/// A location
#[utoipa::path(get, path = "/api/v1/locations/{location_id}", operation_id = "get_location", tag = "locations",
    params(("location_id" = Uuid, Path, description = "The location's id")),
    responses((status = 200, description = "The location", body = LocationView,
        headers(("ETag" = String, description = "Its version"))), NotFound, Unavailable))]
pub(crate) async fn show(db: Data<Db>, path: Path<String>) -> Answer {
    let id = path_id(&path)?;
    let location = db.read(async |tx| locations::find(tx, id).await).await?.ok_or_else(patch::not_found)?;
    Ok(answer::document(location.version, &LocationView::of(&location)))
}

/// Change a location
///
/// A merge patch (RFC 7396): members that are given replace those of the location, `null` removes one, and objects are
/// merged member by member. `application/merge-patch+json` is accepted too.
#[utoipa::path(patch, path = "/api/v1/locations/{location_id}", operation_id = "change_location", tag = "locations",
    request_body = LocationChange,
    params(("location_id" = Uuid, Path, description = "The location's id"),
        ("If-Match" = String, Header, description = "The ETag of the version that is changed", example = "\"1\"")),
    responses((status = 200, description = "The location", body = LocationView,
        headers(("ETag" = String, description = "Its new version"))),
        Invalid, NotFound, Conflict, PreconditionFailed, PreconditionRequired, BodyTooLarge, BodyTooSlow,
        UnsupportedMediaType, Unavailable))]
pub(crate) async fn change(
    db: Data<Db>,
    live: Data<Live>,
    path: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Answer {
    let body = body::read(&request, payload, MAX_BODY).await?;
    let id = path_id(&path)?;
    let changed = db.write(async |tx| {
        let before = locations::find(tx, id).await?.ok_or_else(patch::not_found)?;
        IfMatch::of(&request)?.check(before.version)?;
        let draft: LocationDraft = patch::merged(&before.draft, &body, &["id"])?;
        if draft == before.draft {
            return Ok(before);
        }
        Ok::<_, ApiError>(locations::update(tx, id, before.version, &draft).await?)
    });
    let location = changed.await?;
    live.wake();
    Ok(answer::document(location.version, &LocationView::of(&location)))
}

/// Delete a location that has no stations
#[utoipa::path(delete, path = "/api/v1/locations/{location_id}", operation_id = "delete_location", tag = "locations",
    params(("location_id" = Uuid, Path, description = "The location's id"),
        ("If-Match" = String, Header, description = "The ETag of the version that is deleted", example = "\"1\"")),
    responses((status = 204, description = "It is deleted"), NotFound, Conflict, PreconditionFailed, PreconditionRequired,
        Unavailable))]
pub(crate) async fn remove(
    db: Data<Db>,
    live: Data<Live>,
    path: Path<String>,
    request: HttpRequest,
) -> Answer {
    let id = path_id(&path)?;
    db.write(async |tx| {
        let before = locations::find(tx, id).await?.ok_or_else(patch::not_found)?;
        IfMatch::of(&request)?.check(before.version)?;
        Ok::<_, ApiError>(locations::delete(tx, id, before.version).await?)
    })
    .await?;
    live.wake();
    Ok(HttpResponse::NoContent().finish())
}
