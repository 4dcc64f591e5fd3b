//! `/api/v1/chargers`: stations as OCPP sees them, each by its OCPP name.

pub(crate) mod adoption;
pub(crate) mod inbox;
pub(crate) mod messages;
mod view;

use actix_web::web::{Data, Path, delete, get, patch, put};
use actix_web::{HttpRequest, HttpResponse};
use charging::chargers;
use charging::chargers::certificates::{self, CertificateRequest};
use charging::stations::charging_stations::named::{self, Filter};
use charging::stations::charging_stations::{self, Station};
use charging::{At, Db, Tx};
use http_server::openapi::refusals::{Invalid, NotFound, Unavailable};
use http_server::{Access, Problem, Query, Resource, caller, query, resource};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

pub(crate) use self::view::ChargerView;
use crate::answer;
use crate::error::{Answer, ApiError};
use crate::paging::{self, PageQuery};
use crate::permissions::{self, Reach};
use crate::stations::status_log::{self, LogPage};

pub(crate) fn resources() -> Vec<Resource> {
    const SEE: Access = Access::Granted(permissions::SEE_CHARGERS);
    const EDIT: Access = Access::Granted(permissions::EDIT_CHARGERS);
    const SEE_UNKNOWN: Access = Access::Granted(permissions::SEE_UNKNOWN_CHARGERS);
    let charger = |path: &str| format!("/api/v1/chargers/{{charger:[^/]*}}{path}");
    vec![
        resource("/api/v1/chargers", &[("GET", SEE)]).route(get().to(list)),
        resource(&charger(""), &[("GET", SEE), ("PUT, PATCH, DELETE", EDIT)])
            .without_query()
            .route(get().to(show))
            .route(put().to(adoption::put))
            .route(patch().to(adoption::change))
            .route(delete().to(adoption::remove)),
        resource(&charger("/credentials"), &[("PUT", EDIT)])
            .without_query()
            .route(put().to(adoption::set_credentials)),
        resource(&charger("/certificate-request"), &[("GET", SEE)])
            .without_query()
            .route(get().to(certificate_request)),
        resource(&charger("/messages"), &[("GET", SEE)]).route(get().to(messages::list)),
        resource(&charger("/status-log"), &[("GET", SEE)]).route(get().to(log)),
        resource("/api/v1/unknown-chargers", &[("GET", SEE_UNKNOWN)]).route(get().to(inbox::list)),
        resource("/api/v1/unknown-chargers/{charger:[^/]*}", &[("DELETE", EDIT)])
            .without_query()
            .route(delete().to(inbox::remove)),
    ]
}

/// A page of chargers
#[derive(Serialize, ToSchema)]
#[schema(as = Chargers)]
pub(crate) struct ChargerPage {
    items: Vec<ChargerView>,
    /// The cursor of the next page; null at the end
    #[schema(required)]
    cursor: Option<String>,
}

/// Whether a charger is connected
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Presence {
    /// It is.
    Online,
    /// It is not.
    Offline,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ChargerQuery {
    /// Chargers that are connected, or those that are not
    #[param(inline)]
    state: Option<Presence>,
    /// Chargers whose name begins so, in upper or lower case
    #[param(max_length = 48)]
    q: Option<String>,
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    limit: Option<String>,
    /// The cursor of the previous page
    #[param(pattern = "^[A-Za-z0-9_-]*$")]
    cursor: Option<String>,
}

/// A charger in a path
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only documentation")]
pub(crate) struct ChargerPath {
    /// Its OCPP name
    #[param(
        min_length = 1,
        max_length = 48,
        pattern = r"^[^:/.\x00-\x20\x7f-\x9f][^:/\x00-\x1f\x7f-\x9f]*$",
        example = "BER-0001"
    )]
    charger: String,
}

/// List chargers, by name
#[utoipa::path(get, path = "/api/v1/chargers", operation_id = "list_chargers", tag = "chargers", params(ChargerQuery),
    responses((status = 200, description = "A page of chargers", body = ChargerPage), Invalid, Unavailable))]
pub(crate) async fn list(db: Data<Db>, Query(given): Query<ChargerQuery>, request: HttpRequest) -> Answer {
    let limit = query::limit(given.limit.as_deref())?;
    let after: String = paging::after(given.cursor.as_deref())?.unwrap_or_default();
    let filter = Filter {
        prefix: given.q.filter(|text| !text.is_empty()),
        online: given.state.map(|state| state == Presence::Online),
        places: Reach::of(&caller(&request), permissions::SEE_CHARGERS).places(),
    };
    if after.contains('\0') {
        return Err(paging::bad_cursor().into());
    }
    let found = db.read(async |tx| {
        let mut found = named::list(tx, &filter, &after, i64::from(limit) + 1).await?;
        let last = paging::cut(&mut found, limit);
        Ok::<_, ApiError>((ChargerView::all(tx, found).await?, last))
    });
    let (items, last) = found.await?;
    let cursor = last.map(|last| paging::cursor(&last.row.charger.unwrap_or_default()));
    Ok(HttpResponse::Ok().json(ChargerPage { items, cursor }))
}

/// A charger
#[utoipa::path(get, path = "/api/v1/chargers/{charger}", operation_id = "get_charger", tag = "chargers",
    params(ChargerPath),
    responses((status = 200, description = "The charger", body = ChargerView,
        headers(("ETag" = String, description = "The version of what an operator sets"))), NotFound, Unavailable))]
pub(crate) async fn show(db: Data<Db>, path: Path<String>, request: HttpRequest) -> Answer {
    let reach = Reach::of(&caller(&request), permissions::SEE_CHARGERS);
    let found = db.read(async |tx| {
        let station = reached(tx, &path, &reach).await?;
        let charger = chargers::find(tx, station.row.id).await?;
        Ok::<_, ApiError>((station.row.version, ChargerView::of(station, charger)))
    });
    let (version, view) = found.await?;
    Ok(answer::document(version, &view))
}

/// A request for a certificate
#[derive(Serialize, ToSchema)]
#[schema(as = CertificateRequest)]
pub(crate) struct CertificateRequestView {
    /// What is to be signed: PKCS #10 as PEM
    csr: String,
    /// When the charger sent it
    requested_at: At,
}

/// What a charger wants to have signed
///
/// Its last request (`SignCertificate`). Without an authority in the settings of ocpp-gateway, sign it elsewhere, and send the
/// certificate with `certificate-signed`.
#[utoipa::path(get, path = "/api/v1/chargers/{charger}/certificate-request",
    operation_id = "get_charger_certificate_request", tag = "chargers", params(ChargerPath),
    responses((status = 200, description = "The request", body = CertificateRequestView), NotFound, Unavailable))]
pub(crate) async fn certificate_request(db: Data<Db>, path: Path<String>, request: HttpRequest) -> Answer {
    let reach = Reach::of(&caller(&request), permissions::SEE_CHARGERS);
    let found = db.read(async |tx| {
        let station = reached(tx, &path, &reach).await?;
        let found = certificates::find(tx, station.row.id).await?;
        found.ok_or_else(|| {
            ApiError::from(Problem::not_found(
                "certificate_request",
                "the charger has not asked for a certificate",
            ))
        })
    });
    let CertificateRequest { csr, requested_at } = found.await?;
    Ok(HttpResponse::Ok().json(CertificateRequestView { csr, requested_at }))
}

/// The statuses that a charger has sent, newest first
#[utoipa::path(get, path = "/api/v1/chargers/{charger}/status-log", operation_id = "get_charger_status_log",
    tag = "chargers", params(ChargerPath, PageQuery),
    responses((status = 200, description = "A page of the log", body = LogPage), Invalid, NotFound, Unavailable))]
pub(crate) async fn log(
    db: Data<Db>,
    path: Path<String>,
    Query(query): Query<PageQuery>,
    request: HttpRequest,
) -> Answer {
    let reach = Reach::of(&caller(&request), permissions::SEE_CHARGERS);
    let page = query.newest_first()?;
    let found = db.read(async |tx| {
        let station = reached(tx, &path, &reach).await?;
        Ok::<_, ApiError>(status_log::entries(tx, station.row.id, page).await?)
    });
    Ok(HttpResponse::Ok().json(LogPage::cut(found.await?, page)))
}

/// The station with this charger, where the caller may see it.
pub(crate) async fn reached(tx: &mut Tx, charger: &str, reach: &Reach) -> Result<Station, ApiError> {
    let station = charging_stations::by_charger(tx, charger).await?;
    let station = station.filter(|station| reach.covers(station.row.location_id));
    station.ok_or_else(|| no_charger().into())
}

/// The stations that a list is limited to: that of a charger, or those within reach. `None` for all.
pub(crate) async fn limited_to(
    tx: &mut Tx,
    charger: Option<&str>,
    reach: &Reach,
) -> Result<Option<Vec<Uuid>>, ApiError> {
    if let Some(charger) = charger {
        let station = charging_stations::by_charger(tx, charger).await?;
        let station = station.filter(|station| reach.covers(station.row.location_id));
        return Ok(Some(station.into_iter().map(|station| station.row.id).collect()));
    }
    let Some(places) = reach.places() else { return Ok(None) };
    let stations = charging_stations::at_locations(tx, &places).await?;
    Ok(Some(stations.into_iter().map(|station| station.row.id).collect()))
}

/// 404 for a charger.
pub(crate) fn no_charger() -> Problem {
    Problem::not_found("charger", "there is no charger with this name")
}
