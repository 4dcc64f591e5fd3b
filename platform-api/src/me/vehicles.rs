//! `/api/v1/me/vehicles`: the vehicles of the own account.

use actix_web::web::{Data, Path, Payload, delete, get, patch, post};
use actix_web::{HttpRequest, HttpResponse};
use charging::accounts::vehicles::{self, Plate, Vehicle, VehicleDraft};
use charging::stations::Label;
use charging::stations::connectors::Standard;
use charging::{At, Db};
use http_server::openapi::refusals::{
    BodyTooLarge, BodyTooSlow, Conflict, ConflictingReuse, Invalid, NotFound, PreconditionFailed,
    Unavailable, UnsupportedMediaType,
};
use http_server::{Access, Query, Resource, body, resource};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::accounts::signed_in;
use crate::auth::MAX_BODY;
use crate::error::{Answer, ApiError};
use crate::live::Live;
use crate::openapi::merge_patch;
use crate::paging::PageQuery;
use crate::patch::{self, if_matches, not_found, path_id};
use crate::{answer, idempotent, permissions};

pub(super) fn resources() -> Vec<Resource> {
    const OWN: Access = Access::Granted(permissions::OWN_ACCOUNT);
    vec![
        resource("/api/v1/me/vehicles", &[("GET, POST", OWN)]).route(get().to(list)).route(post().to(create)),
        resource("/api/v1/me/vehicles/{vehicle_id:[^/]*}", &[("GET, PATCH, DELETE", OWN)])
            .without_query()
            .route(get().to(show))
            .route(patch().to(change))
            .route(delete().to(remove)),
    ]
}

/// A page of vehicles
#[derive(Serialize, ToSchema)]
#[schema(as = Vehicles)]
pub(crate) struct VehiclePage {
    items: Vec<VehicleView>,
    /// The cursor of the next page; null at the end
    #[schema(required)]
    cursor: Option<String>,
}

/// A vehicle
#[derive(Serialize, ToSchema)]
#[schema(as = Vehicle)]
pub(crate) struct VehicleView {
    id: Uuid,
    /// Its name
    name: Label,
    /// Its plate
    #[schema(required)]
    plate: Option<Plate>,
    /// The connector that it charges by
    #[schema(required)]
    connector: Option<Standard>,
    /// The power that it charges with at most
    #[schema(required)]
    max_power_w: Option<i64>,
    /// What its battery holds
    #[schema(required)]
    battery_wh: Option<i64>,
    created_at: At,
    updated_at: At,
}

merge_patch! {
    /// A merge patch of a vehicle
    VehicleChange of VehicleDraft
}

impl From<Vehicle> for VehicleView {
    fn from(vehicle: Vehicle) -> Self {
        let Vehicle { id, draft, created_at, updated_at, .. } = vehicle;
        let VehicleDraft { name, plate, connector, max_power_w, battery_wh } = draft;
        Self { id, name, plate, connector, max_power_w, battery_wh, created_at, updated_at }
    }
}

/// List the own vehicles
#[utoipa::path(get, path = "/api/v1/me/vehicles", operation_id = "list_vehicles", tag = "me", params(PageQuery),
    responses((status = 200, description = "A page of vehicles", body = VehiclePage), Invalid, Unavailable))]
pub(crate) async fn list(db: Data<Db>, Query(query): Query<PageQuery>, request: HttpRequest) -> Answer {
    let me = signed_in(&request)?;
    let page = query.by_id()?;
    let found = db.read(async |tx| vehicles::list(tx, me.id, page.from, page.one_more()).await);
    let mut found = found.await?;
    let cursor = page.cut(&mut found, |last| last.id);
    let items = found.into_iter().map(VehicleView::from).collect();
    Ok(HttpResponse::Ok().json(VehiclePage { items, cursor }))
}

/// Add a vehicle
#[utoipa::path(post, path = "/api/v1/me/vehicles", operation_id = "create_vehicle", tag = "me",
    request_body = VehicleDraft,
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$",
        description = "A repeat with the same key and body gets the first answer again, for 24 hours")),
    responses((status = 201, description = "The vehicle", body = VehicleView, headers(
        ("Location" = String, description = "Its path"), ("ETag" = String, description = "Its version"))),
        Invalid, Conflict, ConflictingReuse, BodyTooLarge, BodyTooSlow, UnsupportedMediaType, Unavailable))]
pub(crate) async fn create(db: Data<Db>, live: Data<Live>, request: HttpRequest, payload: Payload) -> Answer {
    http_server::query::none(&request)?;
    let body = body::read(&request, payload, MAX_BODY).await?;
    let me = signed_in(&request)?;
    idempotent::once(&db, &live, &request, "POST /api/v1/me/vehicles", &body, async |tx| {
        let draft: VehicleDraft = body::document(&body)?;
        let vehicle = vehicles::create(tx, me.id, &draft).await?;
        let (place, version) = (format!("/api/v1/me/vehicles/{}", vehicle.id), vehicle.version);
        Ok(answer::created(&place, version, &VehicleView::from(vehicle)))
    })
    .await
}

/// A vehicle
#[utoipa::path(get, path = "/api/v1/me/vehicles/{vehicle_id}", operation_id = "get_vehicle", tag = "me",
    params(("vehicle_id" = Uuid, Path, description = "The vehicle's id")),
    responses((status = 200, description = "The vehicle", body = VehicleView,
        headers(("ETag" = String, description = "Its version"))), NotFound, Unavailable))]
pub(crate) async fn show(db: Data<Db>, path: Path<String>, request: HttpRequest) -> Answer {
    let (me, id) = (signed_in(&request)?, path_id(&path)?);
    let vehicle = db.read(async |tx| vehicles::find(tx, me.id, id).await).await?.ok_or_else(not_found)?;
    Ok(answer::document(vehicle.version, &VehicleView::from(vehicle)))
}

/// Change a vehicle
///
/// A merge patch (RFC 7396).
#[utoipa::path(patch, path = "/api/v1/me/vehicles/{vehicle_id}", operation_id = "change_vehicle", tag = "me",
    request_body = VehicleChange,
    params(("vehicle_id" = Uuid, Path, description = "The vehicle's id"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the version that is changed", example = "\"1\"")),
    responses((status = 200, description = "The vehicle", body = VehicleView,
        headers(("ETag" = String, description = "Its new version"))),
        Invalid, NotFound, PreconditionFailed, BodyTooLarge, BodyTooSlow, UnsupportedMediaType, Unavailable))]
pub(crate) async fn change(
    db: Data<Db>,
    path: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Answer {
    let body = body::read(&request, payload, MAX_BODY).await?;
    let (me, id) = (signed_in(&request)?, path_id(&path)?);
    let changed = db.write(async |tx| {
        let before = vehicles::find(tx, me.id, id).await?.ok_or_else(not_found)?;
        if_matches(&request, before.version)?;
        let draft: VehicleDraft = patch::merged(&before.draft, &body, &[])?;
        if draft == before.draft {
            return Ok(before);
        }
        Ok::<_, ApiError>(vehicles::update(tx, me.id, &before, &draft).await?)
    });
    let vehicle = changed.await?;
    Ok(answer::document(vehicle.version, &VehicleView::from(vehicle)))
}

/// Remove a vehicle
#[utoipa::path(delete, path = "/api/v1/me/vehicles/{vehicle_id}", operation_id = "delete_vehicle", tag = "me",
    params(("vehicle_id" = Uuid, Path, description = "The vehicle's id"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the version that is deleted", example = "\"1\"")),
    responses((status = 204, description = "It is removed"), NotFound, PreconditionFailed, Unavailable))]
pub(crate) async fn remove(db: Data<Db>, path: Path<String>, request: HttpRequest) -> Answer {
    let (me, id) = (signed_in(&request)?, path_id(&path)?);
    db.write(async |tx| {
        let before = vehicles::find(tx, me.id, id).await?.ok_or_else(not_found)?;
        if_matches(&request, before.version)?;
        vehicles::delete(tx, me.id, id).await?;
        Ok::<_, ApiError>(())
    })
    .await?;
    Ok(HttpResponse::NoContent().finish())
}
