//! `/api/chargers/`: the face of the older system, which its clients know.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use charging::chargers::commands::CommandState;
use charging::sessions::{self, Filter as Sessions};
use charging::stations::charging_stations::named::{self, Filter};
use charging::stations::charging_stations::{Connector, Station};
use charging::stations::connectors::ConnectorStatus;
use charging::tokens::IdTag;
use charging::{At, Db, Tx};
use http_server::openapi::refusals::{
    BodyTooLarge, BodyTooSlow, Conflict, ConflictingReuse, Invalid, NotFound, Unavailable,
    UnsupportedMediaType,
};
use http_server::{Problem, Query, caller, query};
use ocpp::v16::to_charger::RemoteStartTransaction;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::operations;
use super::sending::{Operation, Options, Sending, Sent};
use super::view::AcceptedCommand;
use crate::chargers::ChargerPath;
use crate::error::{Answer, ApiError};
use crate::permissions::{self, Reach};
use crate::{answer, paging};

/// How long a start waits for the charger's answer, in seconds.
const WAIT_SEC: u32 = 30;

/// A page of chargers, as the older system shows them
#[derive(Serialize, ToSchema)]
#[schema(as = OlderChargers)]
pub(crate) struct OlderPage {
    items: Vec<OlderCharger>,
    /// The cursor of the next page; null at the end
    #[schema(required)]
    cursor: Option<String>,
}

/// A charger, as the older system shows it
#[derive(Serialize, ToSchema)]
struct OlderCharger {
    /// Its OCPP name
    id: String,
    #[schema(required)]
    vendor: Option<String>,
    #[schema(required)]
    model: Option<String>,
    /// `online` or `offline`
    status: &'static str,
    /// When it was last heard
    #[schema(required)]
    last_heartbeat: Option<At>,
    connectors: Vec<OlderConnector>,
    /// The newest transaction that goes on
    #[schema(required, value_type = Option<OlderTransaction>)]
    transaction: Option<OlderTransaction>,
}

/// A connector, as the older system shows it
#[derive(Serialize, ToSchema)]
struct OlderConnector {
    /// OCPP's `connectorId`
    id: i64,
    /// The status, as the charger sent it last
    #[schema(required)]
    status: Option<ConnectorStatus>,
}

/// A transaction, as the older system shows it
#[derive(Serialize, ToSchema)]
struct OlderTransaction {
    /// Its id
    id: Uuid,
    /// OCPP's `transactionId`
    transaction_id: i64,
    #[schema(required)]
    connector_id: Option<i64>,
    #[schema(required)]
    id_tag: Option<String>,
    #[schema(required)]
    started_at: Option<At>,
}

/// Where a transaction is started, and for whom
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OlderStart {
    /// The id tag, as the charger will send it
    id_tag: IdTag,
    /// The connector; the charger chooses if absent
    #[schema(minimum = 1)]
    connector_id: Option<i32>,
}

/// How a start ended
#[derive(Serialize, ToSchema)]
pub(crate) struct OlderAnswer {
    /// The charger's answer, such as `Accepted`; how the command ended if there is none
    status: String,
    message: String,
    command_id: Uuid,
    /// The whole answer
    #[schema(required, value_type = Option<Object>)]
    result: Option<Value>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct OlderQuery {
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    limit: Option<String>,
    /// The cursor of the previous page
    #[param(pattern = "^[A-Za-z0-9_-]*$")]
    cursor: Option<String>,
}

/// List chargers, for clients of the older system
#[utoipa::path(get, path = "/api/chargers/", operation_id = "list_older_chargers", tag = "older", params(OlderQuery),
    responses((status = 200, description = "A page of chargers", body = OlderPage), Invalid, Unavailable))]
pub(crate) async fn list(db: Data<Db>, Query(given): Query<OlderQuery>, request: HttpRequest) -> Answer {
    let limit = query::limit(given.limit.as_deref())?;
    let after: String = paging::after(given.cursor.as_deref())?.unwrap_or_default();
    if after.contains('\0') {
        return Err(paging::bad_cursor().into());
    }
    let places = Reach::of(&caller(&request), permissions::SEE_CHARGERS).places();
    let filter = Filter { places, ..Filter::default() };
    let found = db.read(async |tx| {
        let mut found = named::list(tx, &filter, &after, i64::from(limit) + 1).await?;
        let last = paging::cut(&mut found, limit);
        let mut items = Vec::new();
        for station in found {
            items.push(OlderCharger::read(tx, station).await?);
        }
        Ok::<_, ApiError>((items, last))
    });
    let (items, last) = found.await?;
    let cursor = last.map(|last| paging::cursor(&last.row.charger.unwrap_or_default()));
    Ok(HttpResponse::Ok().json(OlderPage { items, cursor }))
}

/// Start a transaction, for clients of the older system
///
/// Waits up to 30 s for the charger's answer.
#[utoipa::path(post, path = "/api/chargers/start/{charger}/", operation_id = "start_charger", tag = "older",
    request_body = OlderStart, params(ChargerPath,
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$",
        description = "A repeat with the same key and body sends nothing, for 24 hours")),
    responses((status = 200, description = "The charger's answer", body = OlderAnswer),
        (status = 202, description = "It goes on", body = AcceptedCommand,
            headers(("Location" = String, description = "The command"))),
        Invalid, NotFound, Conflict, ConflictingReuse, BodyTooLarge, BodyTooSlow, UnsupportedMediaType, Unavailable))]
pub(crate) async fn start(request: HttpRequest, payload: Payload) -> Answer {
    let sending = Sending::of(request, payload).await?;
    Ok(match sending.send::<OlderStart>("POST /api/chargers/start/{charger}/").await? {
        Sent::GoesOn(accepted) => answer::repeat(&accepted),
        Sent::Ended(command) => {
            let result = command.result.map(|result| result.0);
            let word = result.as_ref().and_then(|result| result.get("status")?.as_str());
            let message = match command.state {
                CommandState::Answered => "the charger has answered".to_owned(),
                _ => command.error.unwrap_or_default(),
            };
            HttpResponse::Ok().json(OlderAnswer {
                status: word.unwrap_or(command.state.as_str()).to_owned(),
                message,
                command_id: command.id,
                result,
            })
        }
    })
}

impl Operation for OlderStart {
    type Request = RemoteStartTransaction;

    fn options(&self) -> Result<Options, Problem> {
        Options::of(None, None, Some(WAIT_SEC))
    }

    async fn request(&self, _: &mut Tx, _: &Station) -> Result<RemoteStartTransaction, ApiError> {
        Ok(operations::start(&self.id_tag, self.connector_id)?)
    }
}

impl OlderCharger {
    async fn read(tx: &mut Tx, Station { row, evses }: Station) -> Result<Self, ApiError> {
        let going = Sessions { station: Some(row.id), active: Some(true), ..Sessions::default() };
        let newest = sessions::list(tx, &going, i64::MAX, 1).await?.pop();
        let mut connectors: Vec<OlderConnector> =
            evses.into_iter().flat_map(|evse| evse.connectors).map(OlderConnector::from).collect();
        connectors.sort_by_key(|connector| connector.id);
        Ok(Self {
            id: row.charger.unwrap_or_default(),
            vendor: row.vendor,
            model: row.model,
            status: if row.online { "online" } else { "offline" },
            last_heartbeat: row.last_seen,
            connectors,
            transaction: newest.map(|session| OlderTransaction {
                id: session.id,
                transaction_id: session.number,
                connector_id: session.connector_number,
                id_tag: session.id_tag,
                started_at: session.started_at,
            }),
        })
    }
}

impl From<Connector> for OlderConnector {
    fn from(connector: Connector) -> Self {
        Self { id: connector.number, status: connector.status }
    }
}
