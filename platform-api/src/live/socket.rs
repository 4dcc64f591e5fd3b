//! `GET /ws/live`: the same events over a WebSocket, each one message of JSON.

use std::time::Duration;

use ::metrics::counter;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse, rt};
use actix_ws::{CloseCode, CloseReason, Message, MessageStream, Session};
use futures_util::StreamExt;
use http_server::openapi::refusals::{Invalid, Unavailable};
use http_server::{Problem, Query, caller};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Live;
use super::event::{Names, Viewer, reset_message};
use super::stream::{Events, Next, WRITE_LIMIT, position};
use crate::error::Answer;
use crate::metrics::LIVE_DROPPED;

const PING_EVERY: Duration = Duration::from_secs(15);
/// Clients have nothing to say.
const MAX_FRAME: usize = 4096;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SocketQuery {
    /// The names of the events, separated by commas; all unless given
    #[param(pattern = "^[a-z]+(,[a-z]+)*$", example = "station,connector")]
    events: Option<String>,
    /// The id of the last event received; the stream begins now if it is absent
    #[param(pattern = "^[0-9]{0,18}$")]
    last_event_id: Option<String>,
}

/// What happens, live, over a WebSocket
///
/// Each message is an object with `id`, `event` and `data`, which are those of `GET /api/v1/live`.
#[utoipa::path(get, path = "/ws/live", operation_id = "live_socket", tag = "live", params(SocketQuery),
    responses((status = 101, description = "The connection is a WebSocket from here on"), Invalid, Unavailable))]
pub(crate) async fn socket(
    live: Data<Live>,
    Query(query): Query<SocketQuery>,
    request: HttpRequest,
    payload: Payload,
) -> Answer {
    let names = Names::parse(query.events.as_deref())?;
    let seen = position("last_event_id", query.last_event_id.as_deref().unwrap_or_default())?;
    // First: it refuses a request that is no handshake, which must take no place.
    let upgraded = actix_ws::handle(&request, payload);
    let (response, session, incoming) =
        upgraded.map_err(|error| Problem::invalid("upgrade", error.to_string()))?;
    let viewer = Viewer::of(&caller(&request), &live.db);
    let (events, lost) = Events::begin(&live, names, viewer, seen).await?;
    // Ends with the connection, or when the service stops.
    rt::spawn(async move { talk(events, lost, session, incoming.max_frame_size(MAX_FRAME)).await });
    Ok::<HttpResponse, _>(response)
}

async fn talk(mut events: Events, lost: bool, mut session: Session, mut incoming: MessageStream) {
    if lost && !sent(session.text(reset_message(events.position()))).await {
        return;
    }
    let mut answered = true;
    let reason = loop {
        tokio::select! {
            next = events.next(PING_EVERY) => {
                let went_out = match next {
                    Next::Event(shown) => sent(session.text(shown.message())).await,
                    // No answer to the last ping either.
                    Next::Quiet if !answered => break None,
                    Next::Quiet => {
                        answered = false;
                        sent(session.ping(b"")).await
                    }
                    Next::End => break Some(CloseCode::Away),
                };
                if !went_out {
                    break None;
                }
            }
            message = incoming.next() => match message {
                Some(Ok(Message::Ping(bytes))) => {
                    answered = true;
                    if !sent(session.pong(&bytes)).await {
                        break None;
                    }
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => break None,
                Some(Ok(_)) => answered = true,
            },
        }
    };
    let reason = reason.map(CloseReason::from);
    let _ = tokio::time::timeout(WRITE_LIMIT, session.close(reason)).await;
}

/// Whether the client has taken it.
async fn sent(sending: impl Future<Output = Result<(), actix_ws::Closed>>) -> bool {
    match tokio::time::timeout(WRITE_LIMIT, sending).await {
        Ok(sent) => sent.is_ok(),
        Err(_) => {
            counter!(LIVE_DROPPED).increment(1);
            false
        }
    }
}
