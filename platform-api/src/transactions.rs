//! `/api/v1/transactions`: sessions as OCPP sees them. A path names one by its id, or by OCPP's number.

mod meter_values;
mod view;

use actix_web::web::{Data, Path, Payload, get, post};
use actix_web::{HttpRequest, HttpResponse};
use charging::accounts::Reason;
use charging::sessions::close::{self, Closed};
use charging::sessions::{self, Filter, Session, SessionState};
use charging::stations::{ChargerName, charging_stations};
use charging::tokens::IdTag;
use charging::{Db, Tx};
use http_server::openapi::refusals::{
    BodyTooLarge, BodyTooSlow, Conflict, Invalid, NotFound, Unavailable, UnsupportedMediaType,
};
use http_server::{Access, Problem, Query, Resource, body, caller, input, query, resource};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

pub(crate) use self::meter_values::{__path_meter_values, meter_values};
pub(crate) use self::view::TransactionView;
use crate::auth::MAX_BODY;
use crate::chargers::limited_to;
use crate::error::{Answer, ApiError};
use crate::live::Live;
use crate::paging;
use crate::permissions::{self, Reach, actor};

pub(crate) fn resources() -> Vec<Resource> {
    const SEE: Access = Access::Granted(permissions::SEE_CHARGERS);
    const EDIT: Access = Access::Granted(permissions::EDIT_CHARGERS);
    let one = |path: &str| format!("/api/v1/transactions/{{transaction_id:[^/]*}}{path}");
    vec![
        resource("/api/v1/transactions", &[("GET", SEE)]).route(get().to(list)),
        resource(&one(""), &[("GET", SEE)]).route(get().to(show)),
        resource(&one("/meter-values"), &[("GET", SEE)]).route(get().to(meter_values)),
        resource(&one("/close"), &[("POST", EDIT)]).without_query().route(post().to(end)),
    ]
}

/// A page of transactions
#[derive(Serialize, ToSchema)]
#[schema(as = Transactions)]
pub(crate) struct TransactionPage {
    items: Vec<TransactionView>,
    /// The cursor of the next page; null at the end
    #[schema(required)]
    cursor: Option<String>,
    /// How many there are on all pages
    total: i64,
}

/// Whether a transaction goes on
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Going {
    /// It does.
    Active,
    /// It has ended.
    Stopped,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TransactionQuery {
    /// Transactions at this charger
    #[serde(default, deserialize_with = "input::optional")]
    #[param(min_length = 1, max_length = 48)]
    charger: Option<ChargerName>,
    /// Transactions of this id tag, in upper or lower case
    #[serde(default, deserialize_with = "input::optional")]
    #[param(min_length = 1, max_length = 20, pattern = "^[!-~]+$")]
    id_tag: Option<IdTag>,
    /// Transactions that go on, or those that have ended
    #[param(inline)]
    state: Option<Going>,
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    limit: Option<String>,
    /// The cursor of the previous page
    #[param(pattern = "^[A-Za-z0-9_-]*$")]
    cursor: Option<String>,
}

/// A transaction in a path
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only documentation")]
pub(crate) struct TransactionPath {
    /// Its id, or OCPP's number of it
    #[param(min_length = 1, max_length = 36, pattern = "^[0-9A-Fa-f-]+$")]
    transaction_id: String,
}

/// Why a transaction is closed
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Closing {
    /// Why, for the audit trail
    reason: Option<Reason>,
}

/// List transactions, newest first
#[utoipa::path(get, path = "/api/v1/transactions", operation_id = "list_transactions", tag = "transactions",
    params(TransactionQuery),
    responses((status = 200, description = "A page of transactions", body = TransactionPage), Invalid, Unavailable))]
pub(crate) async fn list(
    db: Data<Db>,
    Query(given): Query<TransactionQuery>,
    request: HttpRequest,
) -> Answer {
    let reach = Reach::of(&caller(&request), permissions::SEE_CHARGERS);
    let limit = query::limit(given.limit.as_deref())?;
    let before: i64 = paging::after(given.cursor.as_deref())?.unwrap_or(i64::MAX);
    let filter = Filter {
        station: None,
        id_tag_key: given.id_tag.map(|tag| tag.key()),
        active: given.state.map(|state| state == Going::Active),
    };
    let charger = given.charger.as_ref().map(ChargerName::as_str);
    let found = db.read(async |tx| {
        let stations = limited_to(tx, charger, &reach).await?;
        found(tx, stations.as_deref(), &filter, before, i64::from(limit) + 1).await
    });
    let (mut found, total) = found.await?;
    let cursor = paging::cut(&mut found, limit).map(|last| paging::cursor(&last.number));
    let items = found.into_iter().map(TransactionView::from).collect();
    Ok(HttpResponse::Ok().json(TransactionPage { items, cursor, total }))
}

/// The transactions of all stations or of these, newest first, and how many there are.
async fn found(
    tx: &mut Tx,
    stations: Option<&[Uuid]>,
    filter: &Filter,
    before: i64,
    limit: i64,
) -> Result<(Vec<Session>, i64), ApiError> {
    let Some(stations) = stations else {
        return Ok((sessions::list(tx, filter, before, limit).await?, sessions::count(tx, filter).await?));
    };
    let (mut found, mut total) = (Vec::new(), 0);
    for station in stations {
        let filter = Filter { station: Some(*station), ..filter.clone() };
        found.extend(sessions::list(tx, &filter, before, limit).await?);
        total += sessions::count(tx, &filter).await?;
    }
    found.sort_by_key(|session| std::cmp::Reverse(session.number));
    found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok((found, total))
}

/// A transaction
#[utoipa::path(get, path = "/api/v1/transactions/{transaction_id}", operation_id = "get_transaction",
    tag = "transactions", params(TransactionPath),
    responses((status = 200, description = "The transaction", body = TransactionView), NotFound, Unavailable))]
pub(crate) async fn show(db: Data<Db>, path: Path<String>, request: HttpRequest) -> Answer {
    let reach = Reach::of(&caller(&request), permissions::SEE_CHARGERS);
    let session = db.read(async |tx| reached(tx, &path, &reach).await).await?;
    Ok(HttpResponse::Ok().json(TransactionView::from(session)))
}

/// End a transaction whose charger does not
///
/// It becomes `ended_unconfirmed`, by its newest reading. What the charger sends later replaces that. Nothing is sent to the
/// charger.
#[utoipa::path(post, path = "/api/v1/transactions/{transaction_id}/close", operation_id = "close_transaction",
    tag = "transactions", request_body = Closing, params(TransactionPath),
    responses((status = 200, description = "The transaction", body = TransactionView), Invalid, NotFound, Conflict,
        BodyTooLarge, BodyTooSlow, UnsupportedMediaType, Unavailable))]
pub(crate) async fn end(
    db: Data<Db>,
    live: Data<Live>,
    path: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Answer {
    let body = body::read(&request, payload, MAX_BODY).await?;
    let actor = actor(&caller(&request));
    let closed = db.write(async |tx| {
        let session = reached(tx, &path, &Reach::Everywhere).await?;
        let closing: Closing = if body.is_empty() { Closing::default() } else { body::document(&body)? };
        let reason = closing.reason.as_ref().map(Reason::as_str);
        let closed = close::record(tx, session.id, &actor, reason).await?.ok_or_else(no_transaction)?;
        match closed {
            Closed::Now(session) => Ok(session),
            Closed::Before(session) if session.state == SessionState::EndedUnconfirmed => Ok(session),
            Closed::Before(_) => Err(ApiError::from(Problem::conflict("state", "it has ended"))),
        }
    });
    let session = closed.await?;
    live.wake();
    Ok(HttpResponse::Ok().json(TransactionView::from(session)))
}

/// The session with this id or number.
pub(crate) async fn named(tx: &mut Tx, name: &str) -> Result<Option<Session>, ApiError> {
    Ok(match (name.parse::<i64>(), name.parse::<Uuid>()) {
        (Ok(number), _) => sessions::by_number(tx, number).await?,
        (_, Ok(id)) => sessions::find(tx, id).await?,
        _ => None,
    })
}

/// The same, where the caller may see it: at the place where its station is, or was.
async fn reached(tx: &mut Tx, name: &str, reach: &Reach) -> Result<Session, ApiError> {
    let session = named(tx, name).await?.ok_or_else(no_transaction)?;
    let station = charging_stations::find(tx, session.station_id).await?;
    let place = station.map_or(session.location_id, |station| station.row.location_id);
    if reach.covers(place) { Ok(session) } else { Err(no_transaction().into()) }
}

/// 404 for a transaction.
pub(crate) fn no_transaction() -> Problem {
    Problem::not_found("transaction_id", "there is no such transaction")
}
