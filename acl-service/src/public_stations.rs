//! Public stations: every member may charge there, without an entry on the station's list.

use std::collections::HashSet;

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use common::ids::StationId;
use http_server::openapi::refusals::{BodyTooLarge, BodyTooSlow, Invalid, Unavailable, UnsupportedMediaType};
use http_server::{Problem, Query, body, input, query};
use serde::{Deserialize, Serialize};
use store::{AccessStore, Listing, SetChanged};
use utoipa::ToSchema;

use crate::actor::{Author, actor};
use crate::changes::Changes;
use crate::error::Answer;
use crate::paging::Paging;

/// Maximum stations or members that one call adds, and that it removes.
pub(crate) const MAX_CHANGES: usize = 1000;
/// A body with so many changes fits in this.
pub(crate) const MAX_BODY: usize = 1024 * 1024;
const ACTION: &str = "public_station";

/// Whether a station is public
#[derive(Serialize, ToSchema)]
pub(crate) struct PublicStation {
    station_id: StationId,
    public: bool,
}

/// A page of the public stations
#[derive(Serialize, ToSchema)]
pub(crate) struct PublicStations {
    station_ids: Vec<StationId>,
    /// The cursor of the next page; null at the end
    #[schema(required)]
    cursor: Option<String>,
}

/// The effect of a change to the public stations or the members
#[derive(Serialize, ToSchema)]
#[schema(as = SetChanged)]
pub(crate) struct ChangedSet {
    success: bool,
    /// How many were added, or got another end
    added: u64,
    removed: u64,
}

/// A station in a list.
#[derive(Deserialize)]
#[serde(transparent)]
struct Listed(#[serde(deserialize_with = "input::parsed")] StationId);

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StationChanges {
    #[schema(value_type = Vec<StationId>, max_items = 1000, required = false)]
    add: Option<Vec<Listed>>,
    #[schema(value_type = Vec<StationId>, max_items = 1000, required = false)]
    remove: Option<Vec<Listed>>,
}

impl From<SetChanged> for ChangedSet {
    fn from(changed: SetChanged) -> Self {
        Self { success: true, added: changed.added, removed: changed.removed }
    }
}

/// Show whether a station is public
#[utoipa::path(get, path = "/public-stations/{station_id}", operation_id = "show_public_station", tag = "platform",
    params(("station_id" = StationId, Path)),
    responses((status = 200, description = "Whether the station is public", body = PublicStation), Invalid, Unavailable))]
pub(crate) async fn show(store: Data<AccessStore>, path: Path<String>, request: HttpRequest) -> Answer {
    query::none(&request)?;
    let station_id: StationId = path.parse()?;
    let public = store.public.is_public(station_id).await?;
    Ok(HttpResponse::Ok().json(PublicStation { station_id, public }))
}

/// Make a station public: every member may charge there
#[utoipa::path(put, path = "/public-stations/{station_id}", operation_id = "add_public_station", tag = "platform",
    params(("station_id" = StationId, Path), Author),
    responses((status = 200, description = "The station is public", body = PublicStation), Invalid, Unavailable))]
pub(crate) async fn put(store: Data<AccessStore>, path: Path<String>, request: HttpRequest) -> Answer {
    let station_id: StationId = path.parse()?;
    Changes::new(&store, actor(&request)?, ACTION).public_stations(&[station_id], &[]).await?;
    Ok(HttpResponse::Ok().json(PublicStation { station_id, public: true }))
}

/// Make a station no longer public: its list alone decides
#[utoipa::path(delete, path = "/public-stations/{station_id}", operation_id = "remove_public_station", tag = "platform",
    params(("station_id" = StationId, Path), Author),
    responses((status = 200, description = "The station is not public", body = PublicStation), Invalid, Unavailable))]
pub(crate) async fn remove(store: Data<AccessStore>, path: Path<String>, request: HttpRequest) -> Answer {
    let station_id: StationId = path.parse()?;
    Changes::new(&store, actor(&request)?, ACTION).public_stations(&[], &[station_id]).await?;
    Ok(HttpResponse::Ok().json(PublicStation { station_id, public: false }))
}

/// List the public stations, in the order of their ids
#[utoipa::path(get, path = "/public-stations", operation_id = "list_public_stations", tag = "platform", params(Paging),
    responses((status = 200, description = "A page of stations", body = PublicStations), Invalid, Unavailable))]
pub(crate) async fn list(store: Data<AccessStore>, paging: Query<Paging>) -> Answer {
    let Listing { items, next } = store.public.stations(&paging.0.query()?).await?;
    Ok(HttpResponse::Ok().json(PublicStations { station_ids: items, cursor: next }))
}

/// Add and remove many public stations, all or none
#[utoipa::path(post, path = "/public-stations", operation_id = "change_public_stations", tag = "platform", params(Author),
    request_body = StationChanges,
    responses((status = 200, description = "The changes are made", body = ChangedSet), Invalid, BodyTooSlow, BodyTooLarge,
        UnsupportedMediaType, Unavailable))]
pub(crate) async fn change(store: Data<AccessStore>, request: HttpRequest, payload: Payload) -> Answer {
    query::none(&request)?;
    let author = actor(&request)?;
    let body: StationChanges = body::json(&body::read(&request, payload, MAX_BODY).await?)?;
    let stations = |list: Option<Vec<Listed>>| list.unwrap_or_default().into_iter().map(|Listed(id)| id);
    let (add, remove): (Vec<_>, Vec<_>) = (stations(body.add).collect(), stations(body.remove).collect());
    each_once(&add, &remove)?;
    let changed = Changes::new(&store, author, ACTION).public_stations(&add, &remove).await?;
    Ok(HttpResponse::Ok().json(ChangedSet::from(changed)))
}

/// Refuses too many changes, and two for the same item: one of them would be ignored.
pub(crate) fn each_once<T: std::hash::Hash + Eq>(add: &[T], remove: &[T]) -> Result<(), Problem> {
    let mut seen = HashSet::new();
    for (field, items) in [("add", add), ("remove", remove)] {
        if items.len() > MAX_CHANGES {
            return Err(Problem::invalid(field, format!("at most {MAX_CHANGES} in one call")));
        }
        if let Some(at) = items.iter().position(|item| !seen.insert(item)) {
            return Err(Problem::invalid(field, format!("item {at}: it is given more than once")));
        }
    }
    Ok(())
}
