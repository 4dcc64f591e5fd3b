//! `GET /api/v1/stations/{station_id}/status-log`.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use charging::stations::charging_stations;
use charging::stations::connectors::ConnectorStatus;
use charging::stations::status_log::{self, Entry};
use charging::{At, Db, DbError, Tx};
use http_server::openapi::refusals::{Invalid, NotFound, Unavailable};
use http_server::{Query, caller};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::error::{Answer, ApiError};
use crate::paging::{ById, PageQuery};
use crate::patch::{not_found, path_id};
use crate::permissions::{Reach, SEE_STATUS_LOG};

/// A page of a station's status log
#[derive(Serialize, ToSchema)]
#[schema(as = StatusLog)]
pub(crate) struct LogPage {
    items: Vec<EntryView>,
    /// The cursor of the next page; null at the end
    #[schema(required)]
    cursor: Option<String>,
}

/// A status, as the charger sent it
#[derive(Serialize, ToSchema)]
#[schema(as = StatusLogEntry)]
struct EntryView {
    /// Its id
    id: Uuid,
    /// The EVSE of the connector, if it was known
    #[schema(required)]
    evse_id: Option<Uuid>,
    /// The connector; 0 is the charger itself
    #[schema(required)]
    connector_number: Option<i64>,
    /// The status
    status: ConnectorStatus,
    /// The charger's error code; null for none
    #[schema(required)]
    error_code: Option<String>,
    /// What the charger added
    #[schema(required)]
    info: Option<String>,
    /// When it was so, by the charger's clock
    at: At,
    /// When it arrived
    received_at: At,
}

/// The statuses that a station has sent, newest first
#[utoipa::path(get, path = "/api/v1/stations/{station_id}/status-log", operation_id = "get_status_log", tag = "stations",
    params(("station_id" = Uuid, Path, description = "The station's id"), PageQuery),
    responses((status = 200, description = "A page of the log", body = LogPage), Invalid, NotFound, Unavailable))]
pub(crate) async fn status_log(
    db: Data<Db>,
    path: Path<String>,
    Query(query): Query<PageQuery>,
    request: HttpRequest,
) -> Answer {
    let reach = Reach::of(&caller(&request), SEE_STATUS_LOG);
    let id = path_id(&path)?;
    let page = query.newest_first()?;
    let found = db.read(async |tx| {
        let station = charging_stations::find(tx, id).await?;
        station.filter(|station| reach.covers(station.row.location_id)).ok_or_else(not_found)?;
        Ok::<_, ApiError>(entries(tx, id, page).await?)
    });
    Ok(HttpResponse::Ok().json(LogPage::cut(found.await?, page)))
}

/// The entries of a page, and one more.
pub(crate) async fn entries(tx: &mut Tx, station: Uuid, page: ById) -> Result<Vec<Entry>, DbError> {
    status_log::list(tx, station, page.from, page.one_more()).await
}

impl LogPage {
    /// The page of what was read for it.
    pub(crate) fn cut(mut found: Vec<Entry>, page: ById) -> Self {
        let cursor = page.cut(&mut found, |last| last.id);
        Self { items: found.into_iter().map(EntryView::from).collect(), cursor }
    }
}

impl From<Entry> for EntryView {
    fn from(entry: Entry) -> Self {
        Self {
            id: entry.id,
            evse_id: entry.evse_id,
            connector_number: entry.connector_number,
            status: entry.status,
            error_code: entry.error_code,
            info: entry.info,
            at: entry.at,
            received_at: entry.received_at,
        }
    }
}
