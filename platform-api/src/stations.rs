//! `/api/v1/stations`: charging stations with their EVSEs and connectors.

pub(crate) mod status_log;
mod view;

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use charging::Db;
use charging::core_sync::{self, Subject};
use charging::stations::charging_stations::{self, Station};
use charging::stations::{ChargerName, StationDraft};
use http_server::conditional::IfMatch;
use http_server::openapi::refusals::{
    BodyTooLarge, BodyTooSlow, Conflict, ConflictingReuse, Invalid, NotFound, PreconditionFailed,
    PreconditionRequired, Unavailable, UnsupportedMediaType,
};
use http_server::{Query, body, caller, input};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

pub(crate) use self::status_log::{__path_status_log, status_log};
pub(crate) use self::view::{StationChange, StationView};
use crate::error::{Answer, ApiError};
use crate::live::Live;
use crate::paging::ById;
use crate::patch::{self, QueryId, path_id};
use crate::permissions::{actor, is_known};
use crate::{answer, idempotent};

/// 64 EVSEs with 256 connectors need less.
const MAX_BODY: usize = 256 * 1024;

/// A page of stations
#[derive(Serialize, ToSchema)]
#[schema(as = Stations)]
pub(crate) struct StationPage {
    items: Vec<StationView>,
    /// The cursor of the next page; null at the end
    #[schema(required)]
    cursor: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Stations at this location
    #[serde(default, deserialize_with = "input::optional")]
    #[param(value_type = Option<Uuid>)]
    location_id: Option<QueryId>,
    /// The station with this OCPP name; strangers find none
    #[serde(default, deserialize_with = "input::optional")]
    #[param(min_length = 1, max_length = 48)]
    charger: Option<ChargerName>,
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    limit: Option<String>,
    /// The cursor of the previous page
    #[param(pattern = "^[A-Za-z0-9_-]*$")]
    cursor: Option<String>,
}

/// List charging stations, by id
#[utoipa::path(get, path = "/api/v1/stations", operation_id = "list_stations", tag = "stations", params(ListQuery),
    responses((status = 200, description = "A page of stations", body = StationPage), Invalid, Unavailable))]
pub(crate) async fn list(db: Data<Db>, Query(query): Query<ListQuery>, request: HttpRequest) -> Answer {
    let sees = sees_chargers(&request);
    let page = ById::ascending(query.limit.as_deref(), query.cursor.as_deref())?;
    let location = query.location_id.map(|id| id.0);
    let found = db.read(async |tx| match &query.charger {
        Some(_) if !sees => Ok(Vec::new()),
        Some(charger) => {
            let found = charging_stations::by_charger(tx, charger.as_str()).await?;
            let here = |station: &Station| {
                location.is_none_or(|id| station.row.location_id == Some(id)) && station.row.id > page.from
            };
            Ok(found.into_iter().filter(here).collect())
        }
        None => charging_stations::list(tx, location, page.from, page.one_more()).await,
    });
    let mut found: Vec<Station> = found.await?;
    let cursor = page.cut(&mut found, |last| last.row.id);
    let items = found.into_iter().map(|station| StationView::of(station, sees)).collect();
    Ok::<_, ApiError>(HttpResponse::Ok().json(StationPage { items, cursor }))
}

/// Create a charging station
///
/// Its id is the `station_id` of the access lists. A station with the name of a charger adopts that charger.
#[utoipa::path(post, path = "/api/v1/stations", operation_id = "create_station", tag = "stations",
    request_body = StationDraft, params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255,
        pattern = "^[!-~]+$", description = "A repeat with the same key and body gets the first answer again, for 24 hours")),
    responses((status = 201, description = "The station", body = StationView, headers(
        ("Location" = String, description = "Its path"), ("ETag" = String, description = "Its version"))),
        Invalid, Conflict, ConflictingReuse, BodyTooLarge, BodyTooSlow, UnsupportedMediaType, Unavailable))]
pub(crate) async fn create(db: Data<Db>, live: Data<Live>, request: HttpRequest, payload: Payload) -> Answer {
    let body = body::read(&request, payload, MAX_BODY).await?;
    let actor = actor(&caller(&request));
    idempotent::once(&db, &live, &request, "POST /api/v1/stations", &body, async |tx| {
        let draft: StationDraft = body::document(&body)?;
        let station = charging_stations::create(tx, &draft).await?;
        core_sync::attribute(tx, Subject::Station(station.row.id), &actor).await?;
        let (place, version) = (format!("/api/v1/stations/{}", station.row.id), station.row.version);
        Ok(answer::created(&place, version, &StationView::of(station, true)))
    })
    .await
}

/// A charging station
#[utoipa::path(get, path = "/api/v1/stations/{station_id}", operation_id = "get_station", tag = "stations",
    params(("station_id" = Uuid, Path, description = "The station's id")),
    responses((status = 200, description = "The station", body = StationView,
        headers(("ETag" = String, description = "Its version"))), NotFound, Unavailable))]
pub(crate) async fn show(db: Data<Db>, path: Path<String>, request: HttpRequest) -> Answer {
    let id = path_id(&path)?;
    let station =
        db.read(async |tx| charging_stations::find(tx, id).await).await?.ok_or_else(patch::not_found)?;
    Ok(answer::document(station.row.version, &StationView::of(station, sees_chargers(&request))))
}

/// Change a charging station
///
/// A merge patch (RFC 7396): members that are given replace those of the station, and `null` removes one. `evses` is
/// replaced as a whole; EVSEs and connectors keep their ids if they are named by id, or by number.
/// `application/merge-patch+json` is accepted too.
#[utoipa::path(patch, path = "/api/v1/stations/{station_id}", operation_id = "change_station", tag = "stations",
    request_body = StationChange,
    params(("station_id" = Uuid, Path, description = "The station's id"),
        ("If-Match" = String, Header, description = "The ETag of the version that is changed", example = "\"1\"")),
    responses((status = 200, description = "The station", body = StationView,
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
    let actor = actor(&caller(&request));
    let changed = db.write(async |tx| {
        let before = charging_stations::find(tx, id).await?.ok_or_else(patch::not_found)?;
        let (version, draft) = (before.row.version, before.draft());
        IfMatch::of(&request)?.check(version)?;
        let mut changed: StationDraft = patch::merged(&draft, &body, &["id"])?;
        changed.evses.get_or_insert_default();
        let changed = changed.with_ids_of(&draft);
        if changed == draft {
            return Ok(before);
        }
        let station = charging_stations::update(tx, id, version, &changed).await?;
        core_sync::attribute(tx, Subject::Station(id), &actor).await?;
        Ok::<_, ApiError>(station)
    });
    let station = changed.await?;
    live.wake();
    Ok(answer::document(station.row.version, &StationView::of(station, true)))
}

/// Delete a charging station
///
/// Its EVSEs, connectors and status log are deleted with it.
#[utoipa::path(delete, path = "/api/v1/stations/{station_id}", operation_id = "delete_station", tag = "stations",
    params(("station_id" = Uuid, Path, description = "The station's id"),
        ("If-Match" = String, Header, description = "The ETag of the version that is deleted", example = "\"1\"")),
    responses((status = 204, description = "It is deleted"), NotFound, PreconditionFailed, PreconditionRequired,
        Unavailable))]
pub(crate) async fn remove(
    db: Data<Db>,
    live: Data<Live>,
    path: Path<String>,
    request: HttpRequest,
) -> Answer {
    let id = path_id(&path)?;
    let actor = actor(&caller(&request));
    db.write(async |tx| {
        let before = charging_stations::find(tx, id).await?.ok_or_else(patch::not_found)?;
        IfMatch::of(&request)?.check(before.row.version)?;
        charging_stations::delete(tx, id, before.row.version).await?;
        core_sync::attribute(tx, Subject::Station(id), &actor).await?;
        Ok::<_, ApiError>(())
    })
    .await?;
    live.wake();
    Ok(HttpResponse::NoContent().finish())
}

fn sees_chargers(request: &HttpRequest) -> bool {
    is_known(&caller(request))
}
