//! Groups of stations. A group grants no access by itself: it is applied to the lists of its stations, which stay
//! authoritative.
//!
//! When a driver is added to a group, the group's entry replaces any existing entry at each station of the group. When
//! a driver is removed from the group, the entry is removed at each of them, however it came there. When a station
//! joins, the group's drivers are added to its list; existing entries are unchanged. When a station leaves, or its
//! group is deleted, its list is unchanged.

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use common::ids::{DriverToken, StationId};
use http_server::openapi::refusals::{
    BodyTooLarge, BodyTooSlow, Invalid, NotFound, Unavailable, UnsupportedMediaType,
};
use http_server::{Problem, Query, body};
use serde::{Deserialize, Serialize};
use store::{AccessStore, Change, Counts, Effect, Entry, GroupName, Listing, PageQuery, StoreError};
use utoipa::{IntoParams, ToSchema};

use crate::actor::{Author, actor};
use crate::changes::{Changes, about};
use crate::entries::ShownEntry;
use crate::error::{AclError, Answer};
use crate::paging::Paging;
use crate::validity::{self, NewValidity};

const PAGE: u32 = 500;

/// A group and its size
#[derive(Serialize, ToSchema)]
pub(crate) struct Group {
    name: String,
    stations: u64,
    drivers: u64,
}

/// A page of the groups' names
#[derive(Serialize, ToSchema)]
pub(crate) struct GroupNames {
    groups: Vec<String>,
    /// The cursor of the next page; null at the end
    #[schema(required)]
    cursor: Option<String>,
}

/// A page of a group's stations
#[derive(Serialize, ToSchema)]
pub(crate) struct GroupStations {
    stations: Vec<StationId>,
    /// The cursor of the next page; null at the end
    #[schema(required)]
    cursor: Option<String>,
}

/// A page of a group's drivers
#[derive(Serialize, ToSchema)]
pub(crate) struct GroupDrivers {
    drivers: Vec<ShownEntry>,
    /// The cursor of the next page; null at the end
    #[schema(required)]
    cursor: Option<String>,
}

/// The name of a group
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct NamePath {
    #[param(pattern = "^[a-z0-9-]{1,64}$")]
    name: String,
}

/// The effect of a group's change on the lists
#[derive(Serialize, Default, ToSchema)]
#[schema(as = Applied)]
pub(crate) struct GroupChangeReport {
    success: bool,
    /// Stations, or drivers, that were processed
    reached: u64,
    /// Entries that changed
    changed: u64,
}

/// List the groups
#[utoipa::path(get, path = "/groups", operation_id = "list_groups", tag = "groups", params(Paging),
    responses((status = 200, description = "A page of group names", body = GroupNames), Invalid, Unavailable))]
pub(crate) async fn list(store: Data<AccessStore>, paging: Query<Paging>) -> Answer {
    let Listing { items, next } = store.groups.names(&paging.0.query()?).await?;
    let groups = items.iter().map(ToString::to_string).collect();
    Ok(HttpResponse::Ok().json(GroupNames { groups, cursor: next }))
}

/// Show a group
#[utoipa::path(get, path = "/groups/{name}", operation_id = "show_group", tag = "groups", params(NamePath),
    responses((status = 200, description = "The group and its size", body = Group), Invalid, NotFound, Unavailable))]
pub(crate) async fn show(store: Data<AccessStore>, path: Path<NamePath>) -> Answer {
    answer(&store, &name(&path.name)?).await
}

/// Create a group, unless it exists
#[utoipa::path(put, path = "/groups/{name}", operation_id = "create_group", tag = "groups", params(NamePath, Author),
    responses((status = 200, description = "The group exists", body = Group), Invalid, NotFound, Unavailable))]
pub(crate) async fn create(store: Data<AccessStore>, path: Path<NamePath>, request: HttpRequest) -> Answer {
    let name = name(&path.name)?;
    let changes = Changes::new(&store, actor(&request)?, "group_create").of_group(&name);
    changes.request(Vec::new()).await?;
    changes.witnessed(store.groups.create(&name).await).await?;
    answer(&store, &name).await
}

/// Delete a group; the lists of its stations are unchanged
#[utoipa::path(delete, path = "/groups/{name}", operation_id = "delete_group", tag = "groups", params(NamePath, Author),
    responses((status = 200, description = "The group does not exist", body = GroupChangeReport), Invalid, NotFound, Unavailable))]
pub(crate) async fn remove(store: Data<AccessStore>, path: Path<NamePath>, request: HttpRequest) -> Answer {
    let name = existing(&store, &path.name).await?;
    let changes = Changes::new(&store, actor(&request)?, "group_delete").of_group(&name);
    changes.request(Vec::new()).await?;
    changes.witnessed(store.groups.delete(&name).await).await?;
    Ok(HttpResponse::Ok().json(GroupChangeReport { success: true, ..GroupChangeReport::default() }))
}

/// List the stations of a group
#[utoipa::path(get, path = "/groups/{name}/stations", operation_id = "list_group_stations", tag = "groups", params(NamePath, Paging),
    responses((status = 200, description = "A page of stations", body = GroupStations), Invalid, NotFound, Unavailable))]
pub(crate) async fn stations(
    store: Data<AccessStore>,
    path: Path<NamePath>,
    paging: Query<Paging>,
) -> Answer {
    let name = existing(&store, &path.name).await?;
    let Listing { items, next } = store.groups.stations(&name, &paging.0.query()?).await?;
    Ok(HttpResponse::Ok().json(GroupStations { stations: items, cursor: next }))
}

/// List the drivers of a group
#[utoipa::path(get, path = "/groups/{name}/drivers", operation_id = "list_group_drivers", tag = "groups", params(NamePath, Paging),
    responses((status = 200, description = "A page of drivers", body = GroupDrivers), Invalid, NotFound, Unavailable))]
pub(crate) async fn drivers(store: Data<AccessStore>, path: Path<NamePath>, paging: Query<Paging>) -> Answer {
    let name = existing(&store, &path.name).await?;
    let Listing { items, next } = store.groups.drivers(&name, &paging.0.query()?).await?;
    let drivers = items.into_iter().map(ShownEntry::from).collect();
    Ok(HttpResponse::Ok().json(GroupDrivers { drivers, cursor: next }))
}

/// Add a station to a group; the group's drivers are added to its list, existing entries are unchanged
#[utoipa::path(put, path = "/groups/{name}/stations/{station_id}", operation_id = "join_group", tag = "groups", params(NamePath, ("station_id" = StationId, Path), Author),
    responses((status = 200, description = "The station is in the group", body = GroupChangeReport), Invalid, NotFound, Unavailable))]
pub(crate) async fn join(
    store: Data<AccessStore>,
    path: Path<(String, String)>,
    request: HttpRequest,
) -> Answer {
    let (name, station) = (existing(&store, &path.0).await?, path.1.parse()?);
    let changes = Changes::new(&store, actor(&request)?, "group_join").of_group(&name);
    changes.request(vec![about(Some(station), None, None)]).await?;
    // The station first, then the drivers' entries: a driver who is added to the group meanwhile finds the station in
    // it.
    changes.witnessed(store.groups.join(&name, station).await).await?;
    let mut applied = GroupChangeReport::default();
    let done = apply_drivers(&changes, &name, station, &mut applied).await;
    conclude(&changes, done, applied).await
}

/// Remove a station from a group; its list is unchanged
#[utoipa::path(delete, path = "/groups/{name}/stations/{station_id}", operation_id = "leave_group", tag = "groups", params(NamePath, ("station_id" = StationId, Path), Author),
    responses((status = 200, description = "The station is not in the group", body = GroupChangeReport), Invalid, NotFound, Unavailable))]
pub(crate) async fn leave(
    store: Data<AccessStore>,
    path: Path<(String, String)>,
    request: HttpRequest,
) -> Answer {
    let (name, station) = (existing(&store, &path.0).await?, path.1.parse()?);
    let changes = Changes::new(&store, actor(&request)?, "group_leave").of_group(&name);
    changes.request(vec![about(Some(station), None, None)]).await?;
    changes.witnessed(store.groups.leave(&name, station).await).await?;
    Ok(HttpResponse::Ok().json(GroupChangeReport { success: true, ..GroupChangeReport::default() }))
}

/// Admit a driver at each station of a group
#[utoipa::path(put, path = "/groups/{name}/drivers/{driver_token}", operation_id = "allow_group_driver", tag = "groups", params(NamePath, ("driver_token" = DriverToken, Path), Author),
    request_body(content = NewValidity),
    responses((status = 200, description = "Each station has the entry", body = GroupChangeReport), Invalid, NotFound, BodyTooSlow,
        BodyTooLarge, UnsupportedMediaType, Unavailable))]
pub(crate) async fn admit(
    store: Data<AccessStore>,
    path: Path<(String, String)>,
    request: HttpRequest,
    payload: Payload,
) -> Answer {
    let (name, token) = (existing(&store, &path.0).await?, DriverToken::parse(&path.1)?);
    let period = validity::in_body(&body::read(&request, payload, validity::MAX_BODY).await?)?;
    let entry = Entry { token, period };
    let changes = Changes::new(&store, actor(&request)?, "group_allow").of_group(&name);
    changes.request(vec![about(None, Some(&entry.token), Some(Effect::Admit))]).await?;
    changes.witnessed(store.groups.put_driver(&name, &entry).await).await?;
    apply_everywhere(&changes, &name, &Change::Admit(entry)).await
}

/// Remove a driver from a group and from the lists of its stations
#[utoipa::path(delete, path = "/groups/{name}/drivers/{driver_token}", operation_id = "deny_group_driver", tag = "groups", params(NamePath, ("driver_token" = DriverToken, Path), Author),
    responses((status = 200, description = "No station of the group has the entry", body = GroupChangeReport), Invalid, NotFound, Unavailable))]
pub(crate) async fn dismiss(
    store: Data<AccessStore>,
    path: Path<(String, String)>,
    request: HttpRequest,
) -> Answer {
    let (name, token) = (existing(&store, &path.0).await?, DriverToken::parse(&path.1)?);
    let changes = Changes::new(&store, actor(&request)?, "group_deny").of_group(&name);
    changes.request(vec![about(None, Some(&token), Some(Effect::Remove))]).await?;
    changes.witnessed(store.groups.remove_driver(&name, &token).await).await?;
    apply_everywhere(&changes, &name, &Change::Remove(token)).await
}

/// Applies one change to each station of the group.
async fn apply_everywhere(changes: &Changes, name: &GroupName, change: &Change) -> Answer {
    let mut applied = GroupChangeReport::default();
    let done = async {
        let mut cursor: Option<String> = None;
        loop {
            let query = PageQuery { cursor: cursor.as_deref(), limit: PAGE, search: None };
            let Listing { items, next } = changes.store().groups.stations(name, &query).await?;
            let all: Vec<_> = items.into_iter().map(|station| (station, change.clone())).collect();
            applied.changed += changes.each(&all).await?;
            applied.reached += all.len() as u64;
            cursor = next;
            if cursor.is_none() {
                return Ok(());
            }
        }
    };
    let done = done.await;
    conclude(changes, done, applied).await
}

/// Adds the group's drivers to a station's list; existing entries are unchanged.
async fn apply_drivers(
    changes: &Changes,
    name: &GroupName,
    station: StationId,
    applied: &mut GroupChangeReport,
) -> Result<(), StoreError> {
    let groups = &changes.store().groups;
    let mut cursor: Option<String> = None;
    loop {
        let query = PageQuery { cursor: cursor.as_deref(), limit: PAGE, search: None };
        let Listing { items, next } = groups.drivers(name, &query).await?;
        let now = validity::now();
        let current: Vec<Entry> = items.into_iter().filter(|entry| !entry.period.is_over(now)).collect();
        let tokens: Vec<DriverToken> = current.iter().map(|entry| entry.token.clone()).collect();
        let all: Vec<_> = current.into_iter().map(|entry| (station, Change::AdmitIfAbsent(entry))).collect();
        applied.changed += changes.each(&all).await?;
        applied.reached += all.len() as u64;
        // A driver who was removed from the group meanwhile may have been added to this list after that removal.
        let kept = groups.has_drivers(name, &tokens).await?;
        let gone = tokens.into_iter().zip(kept).filter(|(_, kept)| !kept);
        let gone: Vec<_> = gone.map(|(token, _)| (station, Change::Remove(token))).collect();
        changes.each(&gone).await?;
        cursor = next;
        if cursor.is_none() {
            return Ok(());
        }
    }
}

async fn conclude(changes: &Changes, done: Result<(), StoreError>, applied: GroupChangeReport) -> Answer {
    let GroupChangeReport { reached, changed, .. } = applied;
    let counts = Counts { applied: changed, unchanged: reached.saturating_sub(changed), refused: 0 };
    if let Err(error) = done {
        changes.failed(Some(counts)).await;
        let report = serde_json::to_value(&applied).unwrap_or_default();
        return Err(AclError::Interrupted { error, report });
    }
    changes.applied(counts).await;
    Ok(HttpResponse::Ok().json(GroupChangeReport { success: true, ..applied }))
}

async fn answer(store: &AccessStore, name: &GroupName) -> Answer {
    let size = store.groups.size(name).await?.ok_or_else(|| unknown(name))?;
    let group = Group { name: name.to_string(), stations: size.stations, drivers: size.drivers };
    Ok(HttpResponse::Ok().json(group))
}

fn name(text: &str) -> Result<GroupName, AclError> {
    Ok(GroupName::parse(text).map_err(|error| Problem::invalid("name", error.to_string()))?)
}

async fn existing(store: &AccessStore, text: &str) -> Result<GroupName, AclError> {
    let name = name(text)?;
    store.groups.size(&name).await?.ok_or_else(|| unknown(&name))?;
    Ok(name)
}

fn unknown(name: &GroupName) -> Problem {
    Problem::not_found("name", format!("there is no group {name}; PUT /groups/{name} creates it"))
}
