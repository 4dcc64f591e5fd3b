//! `GET /audit`: the audit trail, newest first.

use actix_web::HttpResponse;
use actix_web::web::Data;
use common::ids::{DriverToken, PresentedToken, StationId};
use http_server::openapi::refusals::{Invalid, Unavailable};
use http_server::{Problem, Query};
use serde::{Deserialize, Serialize};
use store::{AccessStore, AuditEntry, AuditFilter, AuditedChange, Counts, Effect, Listing, Millis, Stage};
use utoipa::{IntoParams, ToSchema};

use crate::error::Answer;
use crate::{paging, validity};

/// Maximum number of changes shown of one entry; the rest is only counted.
const MAX_SHOWN: usize = 10;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditQuery {
    #[param(value_type = Option<StationId>)]
    station_id: Option<String>,
    #[param(value_type = Option<DriverToken>)]
    driver_token: Option<String>,
    /// Written at this moment or later
    #[param(format = "date-time")]
    from: Option<String>,
    /// Written before this moment
    #[param(format = "date-time")]
    to: Option<String>,
    /// The cursor of the previous page
    cursor: Option<String>,
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: Option<String>,
}

/// A page of the audit trail
#[derive(Serialize, ToSchema)]
#[schema(as = AuditEntries)]
pub(crate) struct Page {
    entries: Vec<Shown>,
    /// The cursor of the next page; null at the end
    #[schema(required)]
    cursor: Option<String>,
}

/// One entry of the audit trail
#[derive(Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub(crate) struct Shown {
    /// Shared by all entries of one call
    change_id: String,
    #[schema(format = "date-time")]
    at: String,
    /// The name of the API key, or of the part of Voltgate that made the change
    #[schema(required)]
    actor: Option<String>,
    /// For whom the actor made the change, in the actor's words
    #[serde(skip_serializing_if = "Option::is_none")]
    on_behalf_of: Option<String>,
    /// The address that the call came from
    #[schema(required)]
    address: Option<String>,
    /// The requested action, such as `allow` or `import`
    action: String,
    stage: Stage,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    /// The number of list entries, public stations or members concerned, shown or not
    count: usize,
    changes: Vec<ShownChange>,
    #[serde(skip_serializing_if = "Option::is_none")]
    counts: Option<Counts>,
}

/// One requested change to a list entry, a public station or a member
#[derive(Serialize, ToSchema)]
#[schema(as = AuditedChange)]
pub(crate) struct ShownChange {
    #[serde(skip_serializing_if = "Option::is_none")]
    station_id: Option<StationId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    driver_token: Option<PresentedToken>,
    #[serde(skip_serializing_if = "Option::is_none")]
    effect: Option<Effect>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
}

/// List the changes of access lists, public stations and members, newest first
#[utoipa::path(get, path = "/audit", operation_id = "list_audit_entries", tag = "audit", params(AuditQuery),
    responses((status = 200, description = "A page of the audit trail; it may be empty and have a next page", body = Page),
        Invalid, Unavailable))]
pub(crate) async fn list(store: Data<AccessStore>, query: Query<AuditQuery>) -> Answer {
    let filter = filter(&query.0)?;
    let limit = paging::limit(query.0.limit.as_deref())?;
    let Listing { items, next } =
        store.audit.page(&filter, paging::cursor(query.0.cursor.as_ref()), limit).await?;
    let entries = items.into_iter().map(|entry| shown(entry, &filter)).collect();
    Ok(HttpResponse::Ok().json(Page { entries, cursor: next }))
}

fn filter(query: &AuditQuery) -> Result<AuditFilter, Problem> {
    let station = query.station_id.as_deref().map(str::parse).transpose();
    let station = station.map_err(|error| Problem::invalid("station_id", format!("{error}")))?;
    let token = query.driver_token.as_deref().map(DriverToken::parse).transpose();
    let token = token.map_err(|error| Problem::invalid("driver_token", error.to_string()))?;
    Ok(AuditFilter {
        station_id: station,
        driver_token: token.map(|token| PresentedToken::new(token.expose())),
        from_ms: moment("from", query.from.as_deref())?,
        to_ms: moment("to", query.to.as_deref())?,
    })
}

fn moment(field: &'static str, text: Option<&str>) -> Result<Option<Millis>, Problem> {
    let expected = || Problem::invalid(field, "expected an RFC 3339 timestamp, such as 2026-12-31T18:00:00Z");
    text.map(|text| validity::moment(text).ok_or_else(expected)).transpose()
}

/// For a change of many entries, shows the first ones that match the filter.
fn shown(entry: AuditEntry, filter: &AuditFilter) -> Shown {
    let changes = entry.changes.iter().filter(|change| filter.fits_change(change));
    Shown {
        count: entry.changes.len(),
        changes: changes.take(MAX_SHOWN).map(shown_change).collect(),
        at: validity::show(entry.at_ms),
        change_id: entry.change_id,
        actor: entry.actor,
        on_behalf_of: entry.on_behalf_of,
        address: entry.address,
        action: entry.action,
        stage: entry.stage,
        group: entry.group,
        counts: entry.counts,
    }
}

fn shown_change(change: &AuditedChange) -> ShownChange {
    ShownChange {
        station_id: change.station_id,
        driver_token: change.driver_token.clone(),
        effect: change.effect,
        from: change.from_ms.map(validity::show),
        until: change.until_ms.map(validity::show),
    }
}
