//! `GET /api/v1/chargers/{charger}/messages`: the frames of a charger, masked.

use std::fmt::Write;

use actix_web::http::header::ACCEPT;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use charging::chargers::messages::{self, Direction, Filter, Message};
use charging::{At, Db};
use http_server::openapi::refusals::{Invalid, NotFound, Unavailable};
use http_server::{Query, caller, input};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{ChargerPath, reached};
use crate::error::{Answer, ApiError};
use crate::paging::ById;
use crate::permissions::{self, Reach};

/// A page of the frames of a charger
#[derive(Serialize, ToSchema)]
#[schema(as = ChargerMessages)]
pub(crate) struct MessagePage {
    items: Vec<MessageView>,
    /// The cursor of the next page; null at the end
    #[schema(required)]
    cursor: Option<String>,
}

/// A frame
#[derive(Serialize, ToSchema)]
#[schema(as = ChargerMessage)]
struct MessageView {
    id: Uuid,
    /// When it was sent or read
    at: At,
    /// Who sent it: `in` the charger, `out` the gateway
    direction: Direction,
    /// What it is about, if that is known
    #[schema(required)]
    action: Option<String>,
    /// The connection, by its epoch
    epoch: i64,
    /// Its size in bytes, before anything was masked or cut
    size: i64,
    /// Its text, masked
    text: String,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct MessageQuery {
    /// Frames about this, such as `StartTransaction`
    #[param(pattern = "^[A-Za-z0-9]*$", max_length = 64)]
    action: Option<String>,
    /// Frames of the charger, or those of the gateway
    #[serde(default, deserialize_with = "input::optional")]
    #[param(inline)]
    direction: Option<Direction>,
    /// Frames from this moment on
    #[serde(default, deserialize_with = "input::optional")]
    from: Option<At>,
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    limit: Option<String>,
    /// The cursor of the previous page
    #[param(pattern = "^[A-Za-z0-9_-]*$")]
    cursor: Option<String>,
}

/// The messages of a charger, both ways, newest first
///
/// They are kept for seven days. With `Accept: text/plain` the page is a text with a line for each, for support.
#[utoipa::path(get, path = "/api/v1/chargers/{charger}/messages", operation_id = "list_charger_messages",
    tag = "chargers", params(ChargerPath, MessageQuery),
    responses((status = 200, description = "A page of messages", content(
        (MessagePage = "application/json"), (String = "text/plain"))), Invalid, NotFound, Unavailable))]
pub(crate) async fn list(
    db: Data<Db>,
    path: Path<String>,
    Query(query): Query<MessageQuery>,
    request: HttpRequest,
) -> Answer {
    let reach = Reach::of(&caller(&request), permissions::SEE_CHARGERS);
    let page = ById::descending(query.limit.as_deref(), query.cursor.as_deref())?;
    let action = query.action.filter(|action| !action.is_empty()).map(|action| action.replace('\0', ""));
    let filter = Filter { action, direction: query.direction, from: query.from };
    let found = db.read(async |tx| {
        let station = reached(tx, &path, &reach).await?;
        Ok::<_, ApiError>(messages::list(tx, station.row.id, &filter, page.from, page.one_more()).await?)
    });
    let mut found: Vec<Message> = found.await?;
    let cursor = page.cut(&mut found, |last| last.id);
    if wants_text(&request) {
        return Ok(HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(text(&found)));
    }
    let items = found.into_iter().map(MessageView::from).collect();
    Ok(HttpResponse::Ok().json(MessagePage { items, cursor }))
}

fn wants_text(request: &HttpRequest) -> bool {
    let accepted = request.headers().get(ACCEPT).and_then(|accepted| accepted.to_str().ok());
    accepted.is_some_and(|accepted| accepted.trim_start().starts_with("text/plain"))
}

fn text(messages: &[Message]) -> String {
    messages.iter().fold(String::new(), |mut text, message| {
        let action = message.action.as_deref().unwrap_or("-");
        let (at, direction, body) = (message.at, message.direction, message.body.replace(['\r', '\n'], " "));
        let _ = writeln!(text, "{at} {direction:<3} {action} {body}");
        text
    })
}

impl From<Message> for MessageView {
    fn from(message: Message) -> Self {
        Self {
            id: message.id,
            at: message.at,
            direction: message.direction,
            action: message.action,
            epoch: message.epoch,
            size: message.size,
            text: message.body,
        }
    }
}
