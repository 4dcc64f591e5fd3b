//! `/api/v1/fleets`: fleets, for operators and for the accounts that pay for them.

pub(crate) mod members;
pub(crate) mod tokens;

use actix_web::web::{Data, Path, Payload, delete, get, patch, post, put};
use actix_web::{HttpRequest, HttpResponse};
use charging::accounts::Address;
use charging::fleets::{self, Fleet, FleetDraft, VatId};
use charging::stations::Label;
use charging::{At, Db, Tx};
use http_server::openapi::refusals::{
    BodyTooLarge, BodyTooSlow, Conflict, ConflictingReuse, Invalid, NotFound, PreconditionFailed,
    Unavailable, UnsupportedMediaType,
};
use http_server::{Access, Caller, Query, Resource, body, caller, resource};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::auth::MAX_BODY;
use crate::error::{Answer, ApiError};
use crate::live::Live;
use crate::openapi::merge_patch;
use crate::paging::PageQuery;
use crate::patch::{self, if_matches, not_found, path_id};
use crate::{answer, idempotent, permissions};

pub(crate) fn resources() -> Vec<Resource> {
    const EDIT: Access = Access::Granted(permissions::EDIT_ACCESS);
    const OWN: Access = Access::Granted(permissions::OWN_FLEETS);
    let fleet = |path: &str, methods| resource(&format!("/api/v1/fleets/{{fleet_id:[^/]*}}{path}"), methods);
    vec![
        resource("/api/v1/fleets", &[("GET", OWN), ("POST", EDIT)])
            .route(get().to(list))
            .route(post().to(create)),
        fleet("", &[("GET", OWN), ("PATCH, DELETE", EDIT)])
            .without_query()
            .route(get().to(show))
            .route(patch().to(change))
            .route(delete().to(remove)),
        fleet("/members", &[("GET, POST", OWN)])
            .route(get().to(members::list))
            .route(post().to(members::add)),
        fleet("/members/{user_id:[^/]*}", &[("GET, DELETE", OWN)])
            .without_query()
            .route(get().to(members::show))
            .route(delete().to(members::remove)),
        fleet("/tokens", &[("GET", OWN)]).route(get().to(tokens::list)),
        fleet("/tokens/{token_id:[^/]*}", &[("PUT, DELETE", OWN)])
            .without_query()
            .route(put().to(tokens::add))
            .route(delete().to(tokens::remove)),
    ]
}

/// A page of fleets
#[derive(Serialize, ToSchema)]
#[schema(as = Fleets)]
pub(crate) struct FleetPage {
    items: Vec<FleetView>,
    /// The cursor of the next page; null at the end
    #[schema(required)]
    cursor: Option<String>,
}

/// A fleet
#[derive(Serialize, ToSchema)]
#[schema(as = Fleet)]
pub(crate) struct FleetView {
    id: Uuid,
    /// Its name
    name: Label,
    /// The account that manages the fleet and pays for it
    payer_id: Uuid,
    /// The address, for invoices; that of the payer if null
    #[schema(required)]
    address: Option<Address>,
    /// The VAT id, for invoices
    #[schema(required)]
    vat_id: Option<VatId>,
    created_at: At,
    updated_at: At,
}

merge_patch! {
    /// A merge patch of a fleet
    FleetChange of FleetDraft
}

impl From<Fleet> for FleetView {
    fn from(fleet: Fleet) -> Self {
        let Fleet { id, draft, created_at, updated_at, .. } = fleet;
        let FleetDraft { name, payer_id, address, vat_id } = draft;
        Self { id, name, payer_id, address, vat_id, created_at, updated_at }
    }
}

/// List fleets
///
/// Operators see all of them, other accounts those that they pay for.
#[utoipa::path(get, path = "/api/v1/fleets", operation_id = "list_fleets", tag = "fleets", params(PageQuery),
    responses((status = 200, description = "A page of fleets", body = FleetPage), Invalid, Unavailable))]
pub(crate) async fn list(db: Data<Db>, Query(query): Query<PageQuery>, request: HttpRequest) -> Answer {
    let payer = payer(&caller(&request));
    let page = query.by_id()?;
    let found = db.read(async move |tx| fleets::list(tx, payer, page.from, page.one_more()).await);
    let mut found = found.await?;
    let cursor = page.cut(&mut found, |last| last.id);
    Ok(HttpResponse::Ok().json(FleetPage { items: found.into_iter().map(FleetView::from).collect(), cursor }))
}

/// Create a fleet
#[utoipa::path(post, path = "/api/v1/fleets", operation_id = "create_fleet", tag = "fleets", request_body = FleetDraft,
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$",
        description = "A repeat with the same key and body gets the first answer again, for 24 hours")),
    responses((status = 201, description = "The fleet", body = FleetView, headers(
        ("Location" = String, description = "Its path"), ("ETag" = String, description = "Its version"))),
        Invalid, Conflict, ConflictingReuse, BodyTooLarge, BodyTooSlow, UnsupportedMediaType, Unavailable))]
pub(crate) async fn create(db: Data<Db>, live: Data<Live>, request: HttpRequest, payload: Payload) -> Answer {
    http_server::query::none(&request)?;
    let body = body::read(&request, payload, MAX_BODY).await?;
    idempotent::once(&db, &live, &request, "POST /api/v1/fleets", &body, async |tx| {
        let draft: FleetDraft = body::document(&body)?;
        let fleet = fleets::create(tx, &draft).await?;
        let (place, version) = (format!("/api/v1/fleets/{}", fleet.id), fleet.version);
        Ok(answer::created(&place, version, &FleetView::from(fleet)))
    })
    .await
}

/// A fleet
#[utoipa::path(get, path = "/api/v1/fleets/{fleet_id}", operation_id = "get_fleet", tag = "fleets",
    params(("fleet_id" = Uuid, Path, description = "The fleet's id")),
    responses((status = 200, description = "The fleet", body = FleetView,
        headers(("ETag" = String, description = "Its version"))), NotFound, Unavailable))]
pub(crate) async fn show(db: Data<Db>, path: Path<String>, request: HttpRequest) -> Answer {
    let (id, caller) = (path_id(&path)?, caller(&request));
    let fleet = db.read(async |tx| visible(tx, &caller, id).await).await?;
    Ok(answer::document(fleet.version, &FleetView::from(fleet)))
}

/// Change a fleet
///
/// A merge patch (RFC 7396).
#[utoipa::path(patch, path = "/api/v1/fleets/{fleet_id}", operation_id = "change_fleet", tag = "fleets",
    request_body = FleetChange,
    params(("fleet_id" = Uuid, Path, description = "The fleet's id"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the version that is changed", example = "\"1\"")),
    responses((status = 200, description = "The fleet", body = FleetView,
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
        let before = fleets::find(tx, id).await?.ok_or_else(not_found)?;
        if_matches(&request, before.version)?;
        let draft: FleetDraft = patch::merged(&before.draft, &body, &[])?;
        if draft == before.draft {
            return Ok(before);
        }
        Ok::<_, ApiError>(fleets::update(tx, &before, &draft).await?)
    });
    let fleet = changed.await?;
    Ok(answer::document(fleet.version, &FleetView::from(fleet)))
}

/// Delete a fleet that has no members
#[utoipa::path(delete, path = "/api/v1/fleets/{fleet_id}", operation_id = "delete_fleet", tag = "fleets",
    params(("fleet_id" = Uuid, Path, description = "The fleet's id"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the version that is deleted", example = "\"1\"")),
    responses((status = 204, description = "It is deleted"), NotFound, Conflict, PreconditionFailed, Unavailable))]
pub(crate) async fn remove(db: Data<Db>, path: Path<String>, request: HttpRequest) -> Answer {
    let id = path_id(&path)?;
    db.write(async |tx| {
        let before = fleets::find(tx, id).await?.ok_or_else(not_found)?;
        if_matches(&request, before.version)?;
        Ok::<_, ApiError>(fleets::delete(tx, id).await?)
    })
    .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The account whose fleets the caller sees; `None` for who sees all of them.
fn payer(caller: &Caller) -> Option<Uuid> {
    match &caller.account {
        Some(account) if !caller.has(permissions::EDIT_ACCESS) => Some(account.id),
        _ => None,
    }
}

/// The fleet, if the caller may see and manage it; 404 otherwise.
async fn visible(tx: &mut Tx, caller: &Caller, id: Uuid) -> Result<Fleet, ApiError> {
    let payer = payer(caller);
    let fleet = fleets::find(tx, id).await?;
    let fleet = fleet.filter(|fleet| payer.is_none_or(|payer| fleet.draft.payer_id == payer));
    Ok(fleet.ok_or_else(not_found)?)
}
