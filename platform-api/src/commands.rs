//! `/api/v1/commands`: what chargers were requested to do, and how it ended.

pub(crate) mod older;
pub(crate) mod operations;
mod sending;
mod view;

use actix_web::web::{Data, Path, get, post};
use actix_web::{HttpRequest, HttpResponse};
use charging::chargers::commands::{self, Command, CommandState};
use charging::stations::{ChargerName, charging_stations};
use charging::{Db, Tx};
use http_server::openapi::refusals::{Invalid, NotFound, Unavailable};
use http_server::{Access, OPTIONAL_SLASH, Query, Resource, caller, input, resource, slow_resource};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

pub(crate) use self::sending::LONGEST_WAIT;
pub(crate) use self::view::CommandView;
use crate::chargers::limited_to;
use crate::error::{Answer, ApiError};
use crate::paging::ById;
use crate::patch::{not_found, path_id};
use crate::permissions::{self, Reach};

pub(crate) fn resources() -> Vec<Resource> {
    const SEE: &[(&str, Access)] = &[("GET", Access::Granted(permissions::SEE_CHARGERS))];
    const SEND: &[(&str, Access)] = &[("POST", Access::Granted(permissions::COMMAND_CHARGERS))];
    // The answer of a charger may be waited for.
    let operation = |name: &str| {
        slow_resource(&format!("/api/v1/chargers/{{charger:[^/]*}}/{name}"), SEND, LONGEST_WAIT)
            .without_query()
    };
    let start = format!("/api/chargers/start/{{charger:[^/]*}}{OPTIONAL_SLASH}");
    vec![
        resource("/api/v1/commands", SEE).route(get().to(list)),
        resource("/api/v1/commands/{command_id:[^/]*}", SEE).route(get().to(show)),
        operation("remote-start-transaction").route(post().to(operations::remote_start_transaction)),
        operation("remote-stop-transaction").route(post().to(operations::remote_stop_transaction)),
        operation("trigger-message").route(post().to(operations::trigger_message)),
        operation("certificate-signed").route(post().to(operations::certificate_signed)),
        resource(&format!("/api/chargers{OPTIONAL_SLASH}"), SEE).route(get().to(older::list)),
        slow_resource(&start, SEND, LONGEST_WAIT).without_query().route(post().to(older::start)),
    ]
}

/// A page of commands
#[derive(Serialize, ToSchema)]
#[schema(as = Commands)]
pub(crate) struct CommandPage {
    items: Vec<CommandView>,
    /// The cursor of the next page; null at the end
    #[schema(required)]
    cursor: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CommandQuery {
    /// Commands to this charger
    #[serde(default, deserialize_with = "input::optional")]
    #[param(min_length = 1, max_length = 48)]
    charger: Option<ChargerName>,
    /// Commands in this state
    #[serde(default, deserialize_with = "input::optional")]
    #[param(inline)]
    state: Option<CommandState>,
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    limit: Option<String>,
    /// The cursor of the previous page
    #[param(pattern = "^[A-Za-z0-9_-]*$")]
    cursor: Option<String>,
}

/// List commands, newest first
#[utoipa::path(get, path = "/api/v1/commands", operation_id = "list_commands", tag = "commands", params(CommandQuery),
    responses((status = 200, description = "A page of commands", body = CommandPage), Invalid, Unavailable))]
pub(crate) async fn list(db: Data<Db>, Query(query): Query<CommandQuery>, request: HttpRequest) -> Answer {
    let reach = Reach::of(&caller(&request), permissions::SEE_CHARGERS);
    let page = ById::descending(query.limit.as_deref(), query.cursor.as_deref())?;
    let charger = query.charger.as_ref().map(ChargerName::as_str);
    let found = db.read(async |tx| {
        let stations = limited_to(tx, charger, &reach).await?;
        found(tx, stations.as_deref(), query.state, page).await
    });
    let mut found = found.await?;
    let cursor = page.cut(&mut found, |last| last.id);
    Ok(HttpResponse::Ok()
        .json(CommandPage { items: found.into_iter().map(CommandView::from).collect(), cursor }))
}

/// The commands to all stations or to these, newest first.
async fn found(
    tx: &mut Tx,
    stations: Option<&[Uuid]>,
    state: Option<CommandState>,
    page: ById,
) -> Result<Vec<Command>, ApiError> {
    let (before, limit) = (page.from, page.one_more());
    let Some(stations) = stations else { return Ok(commands::list(tx, None, state, before, limit).await?) };
    let mut found = Vec::new();
    for station in stations {
        found.extend(commands::list(tx, Some(*station), state, before, limit).await?);
    }
    found.sort_by_key(|command| std::cmp::Reverse(command.id));
    found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(found)
}

/// A command
#[utoipa::path(get, path = "/api/v1/commands/{command_id}", operation_id = "get_command", tag = "commands",
    params(("command_id" = Uuid, Path, description = "The command's id")),
    responses((status = 200, description = "The command", body = CommandView), NotFound, Unavailable))]
pub(crate) async fn show(db: Data<Db>, path: Path<String>, request: HttpRequest) -> Answer {
    let reach = Reach::of(&caller(&request), permissions::SEE_CHARGERS);
    let id = path_id(&path)?;
    let found = db.read(async |tx| {
        let command = commands::find(tx, id).await?.ok_or_else(not_found)?;
        let station = charging_stations::find(tx, command.station_id).await?;
        let place = station.and_then(|station| station.row.location_id);
        if reach.covers(place) { Ok(command) } else { Err(ApiError::from(not_found())) }
    });
    Ok(HttpResponse::Ok().json(CommandView::from(found.await?)))
}
