//! `GET /api/v1/transactions/{transaction_id}/meter-values`.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use charging::sessions::meter_values::{self as readings, Reading};
use charging::{At, Db};
use http_server::openapi::refusals::{Invalid, NotFound, Unavailable};
use http_server::{Query, caller, query};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{TransactionPath, reached};
use crate::error::{Answer, ApiError};
use crate::paging;
use crate::permissions::{self, Reach};

/// More readings than one moment has. A page ends with a whole moment.
const OF_A_MOMENT: i64 = 500;

/// A page of the readings of a transaction
#[derive(Serialize, ToSchema)]
#[schema(as = MeterValues)]
pub(crate) struct ReadingPage {
    items: Vec<ReadingView>,
    /// The cursor of the next page; null at the end
    #[schema(required)]
    cursor: Option<String>,
}

/// A reading of a meter
#[derive(Serialize, ToSchema)]
#[schema(as = MeterValue)]
struct ReadingView {
    /// When it was taken, by the charger's clock
    at: At,
    /// The connector; 0 is the charger's own meter
    connector: i64,
    /// What it is of
    measurand: String,
    /// The value, in its unit; null for signed data, and for what is no number
    #[schema(required)]
    value: Option<i64>,
    /// Its unit: `Wh`, `W`, `mA`, `mV`, `‰`, or as it was sent
    #[schema(required)]
    unit: Option<String>,
    /// Signed data, or a value that is no number
    #[schema(required)]
    raw: Option<String>,
    /// Why the meter was read
    context: String,
    /// The phase; null for all of them
    #[schema(required)]
    phase: Option<String>,
    /// Where
    location: String,
    /// When it arrived
    received_at: At,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReadingQuery {
    /// How many, or a few more, so that the readings of one moment are on one page
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    limit: Option<String>,
    /// The cursor of the previous page
    #[param(pattern = "^[A-Za-z0-9_-]*$")]
    cursor: Option<String>,
}

/// The readings of a transaction, oldest first
#[utoipa::path(get, path = "/api/v1/transactions/{transaction_id}/meter-values", operation_id = "list_meter_values",
    tag = "transactions", params(TransactionPath, ReadingQuery),
    responses((status = 200, description = "A page of readings", body = ReadingPage), Invalid, NotFound, Unavailable))]
pub(crate) async fn meter_values(
    db: Data<Db>,
    path: Path<String>,
    Query(given): Query<ReadingQuery>,
    request: HttpRequest,
) -> Answer {
    let reach = Reach::of(&caller(&request), permissions::SEE_CHARGERS);
    let limit = query::limit(given.limit.as_deref())?;
    let after: i64 = paging::after(given.cursor.as_deref())?.unwrap_or(i64::MIN);
    let found = db.read(async |tx| {
        let session = reached(tx, &path, &reach).await?;
        let many = i64::from(limit) + OF_A_MOMENT;
        Ok::<_, ApiError>(readings::of_session(tx, session.id, At::from_millis(after), many).await?)
    });
    let mut found: Vec<Reading> = found.await?;
    let cursor = cut(&mut found, usize::from(limit));
    let items = found.into_iter().map(ReadingView::from).collect();
    Ok(HttpResponse::Ok().json(ReadingPage { items, cursor }))
}

/// Cuts after the moment with which the page is full.
fn cut(found: &mut Vec<Reading>, limit: usize) -> Option<String> {
    let last = found.get(limit.checked_sub(1)?)?.at;
    let end = found.iter().position(|reading| reading.at > last)?;
    found.truncate(end);
    Some(paging::cursor(&last.millis()))
}

impl From<Reading> for ReadingView {
    fn from(reading: Reading) -> Self {
        Self {
            at: reading.at,
            connector: reading.connector_number,
            measurand: reading.measurand,
            value: reading.value,
            unit: reading.unit,
            raw: reading.raw,
            context: reading.context,
            phase: Some(reading.phase).filter(|phase| !phase.is_empty()),
            location: reading.location,
            received_at: reading.received_at,
        }
    }
}
