//! One station's list: its entries, and access checks, which also count public stations and members.

use std::collections::BTreeMap;

use crate::metrics;
use ::metrics::counter;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use common::ids::{DriverToken, StationId};
use http_server::openapi::refusals::{BodyTooLarge, BodyTooSlow, Invalid, Unavailable, UnsupportedMediaType};
use http_server::{Problem, Query, body, input, query};
use serde::{Deserialize, Serialize};
use store::{AccessStore, Change, Entry, Grounds, Listing, Page};
use utoipa::ToSchema;

use crate::actor::{Author, actor};
use crate::changes::Changes;
use crate::error::{AclError, Answer};
use crate::paging::Paging;
use crate::validity::{self, NewValidity, ShownValidity};

/// A request about many drivers fits in this: ten thousand tokens of 80 characters.
const MAX_BODY: usize = 1024 * 1024;
const MAX_TOKENS: usize = 10_000;
const MAX_PAIRS: usize = 5_000;

#[derive(Serialize, ToSchema)]
pub(crate) struct Allowed {
    allowed: bool,
    /// Why the driver is allowed: an entry on the list (`list`), or the station is public and the token a member
    /// (`public`)
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    source: Option<Grounds>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct AllowedEach {
    /// In the order of the request
    allowed: Vec<bool>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ChangedOne {
    success: bool,
    /// The size of the station's list afterwards
    new_size: u64,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ChangedMany {
    success: bool,
    /// How many entries are new
    added: u64,
    /// The size of the station's list afterwards
    new_size: u64,
}

/// A page of a station's list
#[derive(Serialize, ToSchema)]
#[schema(as = Entries)]
pub(crate) struct EntryPage {
    station_id: StationId,
    driver_tokens: Vec<DriverToken>,
    /// The validity, by token, of the entries that have one
    times: BTreeMap<String, ShownValidity>,
    /// The size of the whole list
    size: u64,
    /// The cursor of the next page; null at the end
    #[schema(required)]
    cursor: Option<String>,
}

/// One entry with its validity
#[derive(Serialize, ToSchema)]
#[schema(as = Entry)]
pub(crate) struct ShownEntry {
    driver_token: DriverToken,
    #[serde(flatten)]
    #[schema(value_type = ShownValidity)]
    times: Option<ShownValidity>,
}

/// A page of a station's entries with a validity period
#[derive(Serialize, ToSchema)]
#[schema(as = TimedEntries)]
pub(crate) struct ValidityPage {
    station_id: StationId,
    entries: Vec<ShownEntry>,
    /// The cursor of the next page; null at the end
    #[schema(required)]
    cursor: Option<String>,
}

#[derive(Deserialize, ToSchema)]
// A member such as `until` is rejected: the drivers would be admitted for ever.
#[serde(deny_unknown_fields)]
pub(crate) struct DriverTokens {
    #[schema(max_items = 10_000)]
    driver_tokens: Vec<DriverToken>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pairs {
    #[schema(max_items = 5_000)]
    pairs: Vec<Pair>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pair {
    #[serde(deserialize_with = "input::parsed")]
    station_id: StationId,
    driver_token: DriverToken,
}

impl From<Entry> for ShownEntry {
    fn from(entry: Entry) -> Self {
        Self { driver_token: entry.token, times: ShownValidity::of(entry.period) }
    }
}

/// Check a driver
///
/// A driver may charge who is on the station's list, or a member where the station is public.
#[utoipa::path(get, path = "/station/{station_id}/driver/{driver_token}/acl", operation_id = "check_driver", tag = "lists",
    params(("station_id" = StationId, Path), ("driver_token" = DriverToken, Path)),
    responses((status = 200, description = "Whether the driver may charge now", body = Allowed), Invalid, Unavailable))]
pub(crate) async fn check(store: Data<AccessStore>, path: Path<(String, String)>) -> Answer {
    let (station, token) = station_and_token(&path)?;
    let source = store.lists.check(station, &token).await?;
    let allowed = source.is_some();
    checked(&[allowed]);
    Ok(HttpResponse::Ok().json(Allowed { allowed, source }))
}

/// Admit a driver
///
/// Replaces the whole entry: without a validity period, any earlier one is removed.
#[utoipa::path(put, path = "/station/{station_id}/driver/{driver_token}/acl", operation_id = "allow_driver", tag = "lists",
    params(("station_id" = StationId, Path), ("driver_token" = DriverToken, Path), Author),
    request_body(content = NewValidity),
    responses((status = 200, description = "The entry exists", body = ChangedOne), Invalid, BodyTooSlow, BodyTooLarge,
        UnsupportedMediaType, Unavailable))]
pub(crate) async fn allow(
    store: Data<AccessStore>,
    path: Path<(String, String)>,
    request: HttpRequest,
    payload: Payload,
) -> Answer {
    let (station, token) = station_and_token(&path)?;
    let period = validity::in_body(&body::read(&request, payload, validity::MAX_BODY).await?)?;
    let changes = Changes::new(&store, actor(&request)?, "allow");
    let changed = changes.at(station, &[Change::Admit(Entry { token, period })]).await?;
    Ok(HttpResponse::Ok().json(ChangedOne { success: true, new_size: changed.size }))
}

/// Remove a driver from the list
#[utoipa::path(delete, path = "/station/{station_id}/driver/{driver_token}/acl", operation_id = "deny_driver", tag = "lists",
    params(("station_id" = StationId, Path), ("driver_token" = DriverToken, Path), Author),
    responses((status = 200, description = "The entry does not exist", body = ChangedOne), Invalid, Unavailable))]
pub(crate) async fn deny(
    store: Data<AccessStore>,
    path: Path<(String, String)>,
    request: HttpRequest,
) -> Answer {
    let (station, token) = station_and_token(&path)?;
    let changes = Changes::new(&store, actor(&request)?, "deny");
    let changed = changes.at(station, &[Change::Remove(token)]).await?;
    Ok(HttpResponse::Ok().json(ChangedOne { success: true, new_size: changed.size }))
}

/// List a station's drivers
///
/// A page of a search may be empty and have a next page.
#[utoipa::path(get, path = "/station/{station_id}/acl", operation_id = "list_drivers", tag = "lists",
    params(("station_id" = StationId, Path), Paging,
        ("search" = Option<String>, Query, pattern = "^[A-Za-z0-9._~-]{3,80}$", description = "A part of the driver token")),
    responses((status = 200, description = "A page of the list", body = EntryPage), Invalid, Unavailable))]
pub(crate) async fn list(store: Data<AccessStore>, path: Path<String>, paging: Query<Paging>) -> Answer {
    let station: StationId = path.parse()?;
    let Page { entries, size, next } = store.lists.page(station, &paging.0.query_with_search()?).await?;
    let times = entries
        .iter()
        .filter_map(|entry| Some((entry.token.expose().to_owned(), ShownValidity::of(entry.period)?)))
        .collect();
    let driver_tokens = entries.into_iter().map(|entry| entry.token).collect();
    Ok(HttpResponse::Ok().json(EntryPage { station_id: station, driver_tokens, times, size, cursor: next }))
}

/// List a station's entries with a validity period, including those that have yet to begin
#[utoipa::path(get, path = "/station/{station_id}/acl/timed", operation_id = "list_timed_entries", tag = "lists",
    params(("station_id" = StationId, Path), Paging),
    responses((status = 200, description = "A page of entries", body = ValidityPage), Invalid, Unavailable))]
pub(crate) async fn list_timed(
    store: Data<AccessStore>,
    path: Path<String>,
    paging: Query<Paging>,
) -> Answer {
    let station: StationId = path.parse()?;
    let Listing { items, next } = store.lists.timed(station, &paging.0.query()?).await?;
    let entries = items.into_iter().map(ShownEntry::from).collect();
    Ok(HttpResponse::Ok().json(ValidityPage { station_id: station, entries, cursor: next }))
}

/// Admit many drivers, all or none
#[utoipa::path(put, path = "/station/{station_id}/acl", operation_id = "allow_drivers", tag = "lists", params(("station_id" = StationId, Path), Author),
    request_body = DriverTokens,
    responses((status = 200, description = "The drivers are on the list", body = ChangedMany), Invalid, BodyTooSlow,
        BodyTooLarge, UnsupportedMediaType, Unavailable))]
pub(crate) async fn allow_many(
    store: Data<AccessStore>,
    path: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Answer {
    let station: StationId = path.parse()?;
    query::none(&request)?;
    let body: DriverTokens = body::json(&body::read(&request, payload, MAX_BODY).await?)?;
    if body.driver_tokens.len() > MAX_TOKENS {
        let why = format!("at most {MAX_TOKENS} in one call; POST /acl/import takes any number");
        return Err(Problem::invalid("driver_tokens", why).into());
    }
    let entries: Vec<Change> = body.driver_tokens.into_iter().map(Change::admit).collect();
    let changed = Changes::new(&store, actor(&request)?, "allow").at(station, &entries).await?;
    let answer = ChangedMany { success: true, added: changed.changed, new_size: changed.size };
    Ok(HttpResponse::Ok().json(answer))
}

/// Check many drivers and stations
///
/// A driver may charge who is on the station's list, or a member where the station is public.
#[utoipa::path(post, path = "/acl/check", operation_id = "check_drivers", tag = "lists", request_body = Pairs,
    responses((status = 200, description = "The answers", body = AllowedEach), Invalid, BodyTooSlow, BodyTooLarge,
        UnsupportedMediaType, Unavailable))]
pub(crate) async fn check_many(store: Data<AccessStore>, request: HttpRequest, payload: Payload) -> Answer {
    let body: Pairs = body::json(&body::read(&request, payload, MAX_BODY).await?)?;
    if body.pairs.len() > MAX_PAIRS {
        return Err(Problem::invalid("pairs", format!("at most {MAX_PAIRS} in one call")).into());
    }
    let pairs: Vec<_> = body.pairs.into_iter().map(|pair| (pair.station_id, pair.driver_token)).collect();
    let grounds = store.lists.check_many(&pairs).await?;
    let allowed: Vec<bool> = grounds.iter().map(Option::is_some).collect();
    checked(&allowed);
    Ok(HttpResponse::Ok().json(AllowedEach { allowed }))
}

fn checked(answers: &[bool]) {
    let allowed = answers.iter().filter(|allowed| **allowed).count() as u64;
    for (result, count) in [("allowed", allowed), ("not_allowed", answers.len() as u64 - allowed)] {
        counter!(metrics::ACL_CHECKS, "result" => result).increment(count);
    }
}

fn station_and_token(path: &(String, String)) -> Result<(StationId, DriverToken), AclError> {
    Ok((path.0.parse()?, DriverToken::parse(&path.1)?))
}
