//! `GET /requests/stream`: decisions as server-sent events.

mod event;

use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use common::decision::Decision;
use common::ids::{PresentedToken, StationId};
use futures_util::stream;
use http_server::openapi::refusals::{Invalid, Unavailable};
use http_server::{Problem, Query, input};
use serde::Deserialize;
use store::{Fed, FeedPosition, Filter, NoFeedPosition};
use tokio::sync::broadcast::error::RecvError;
use utoipa::IntoParams;

use self::event::{GAP, StreamEvent};
use crate::decisions::{Decisions, Listener};
use crate::error::ApiError;

/// Keeps proxies from closing a quiet stream.
const HEARTBEAT: Duration = Duration::from_secs(15);
const AFTER_A_FAILURE: Duration = Duration::from_secs(1);
const FULL_FOR: Duration = Duration::from_secs(10);

/// One client's stream.
struct Events {
    listener: Listener,
    filter: Filter,
    position: FeedPosition,
    /// Whether to read the store, because some decisions were not received from the listener.
    behind: bool,
    /// What to send first.
    first: Option<Bytes>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StreamQuery {
    #[serde(default, deserialize_with = "input::optional")]
    station_id: Option<StationId>,
    driver_token: Option<PresentedToken>,
    status: Option<Decision>,
}

/// Stream decisions as they are made, by any worker
///
/// Server-sent events: `decision`, with the request as data, at least once; `gap` where decisions may be missing. A
/// message without `data` is not an event: at the beginning, and every 15 seconds while there is nothing new, its `id`
/// says from where the stream can be continued.
#[utoipa::path(get, path = "/requests/stream", operation_id = "stream_decisions", tag = "requests",
    params(StreamQuery, ("Last-Event-ID" = Option<String>, Header, pattern = "^([0-9]+-[0-9]+)?$",
        description = "The id of the last event received; the stream continues after it, or begins now if it is empty")),
    responses((status = 200, description = "An endless stream. The schema is that of one event", content_type = "text/event-stream",
        body = StreamEvent),
        Invalid, Unavailable))]
pub(crate) async fn stream(
    decisions: Data<Decisions>,
    Query(query): Query<StreamQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let StreamQuery { station_id, driver_token, status } = query;
    let filter = Filter { station_id, driver_token, status, ..Filter::default() };
    let seen = last_event_id(&request)?;
    let full = || Problem::unavailable("stream", "the maximum number of streams is open", FULL_FOR);
    let listener = decisions.listen().ok_or_else(full)?;
    let (position, complete) = listener.begin(seen).await.map_err(ApiError::Store)?;
    // Sent at once, so that clients know that the stream has begun, and from which position.
    let first = format!("{}id: {position}\n\n", if complete { "" } else { GAP });
    let events = Events { listener, filter, position, behind: true, first: Some(first.into()) };
    let body = stream::unfold(events, |mut events| async move {
        let next = events.next().await?;
        Some((Ok::<_, actix_web::Error>(next), events))
    });
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/event-stream"))
        .insert_header((CACHE_CONTROL, "no-store"))
        // Keeps nginx from buffering events.
        .insert_header(("x-accel-buffering", "no"))
        .streaming(body))
}

fn last_event_id(request: &HttpRequest) -> Result<Option<FeedPosition>, Problem> {
    let Some(value) = request.headers().get("last-event-id").filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let position = value.to_str().map_err(|_| NoFeedPosition).and_then(str::parse);
    position.map(Some).map_err(|error| Problem::invalid("last-event-id", error.to_string()))
}

impl Events {
    /// The next text to send; `None` when the service stops.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        let stopping = self.listener.stopping.clone();
        tokio::select! {
            biased;
            () = stopping.cancelled() => None,
            next = tokio::time::timeout(HEARTBEAT, self.decided()) => match next {
                Ok(next) => next,
                // With the position, so that a client that reconnects need not read everything that did not match.
                Err(_) => Some(format!(": nothing new\nid: {}\n\n", self.position).into()),
            },
        }
    }

    /// Waits for matching decisions.
    async fn decided(&mut self) -> Option<Bytes> {
        loop {
            let text = if self.behind { self.catch_up().await } else { self.follow().await? };
            if !text.is_empty() {
                return Some(text.into());
            }
        }
    }

    async fn catch_up(&mut self) -> String {
        match self.listener.catch_up(self.position).await {
            Ok(fed) => {
                self.behind = fed.more;
                self.take(&fed)
            }
            Err(_) => {
                tokio::time::sleep(AFTER_A_FAILURE).await;
                String::new()
            }
        }
    }

    async fn follow(&mut self) -> Option<String> {
        match self.listener.parts.recv().await {
            Ok(part) if part.after <= self.position => Some(self.take(&part.fed)),
            // An earlier decision was published before this stream listened, or while it was too slow.
            Ok(_) | Err(RecvError::Lagged(_)) => {
                self.behind = true;
                Some(String::new())
            }
            Err(RecvError::Closed) => None,
        }
    }

    fn take(&mut self, fed: &Fed) -> String {
        let mut text = String::new();
        for (position, record) in &fed.records {
            if *position > self.position && self.filter.fits(record) {
                text.push_str(&event::decision(*position, record.clone()));
            }
        }
        self.position = self.position.max(fed.position);
        text
    }
}
