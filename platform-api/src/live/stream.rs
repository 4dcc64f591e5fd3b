//! `GET /api/v1/live`: events as server-sent events.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ::metrics::counter;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse, rt};
use futures_util::stream;
use http_server::openapi::refusals::{Invalid, Unavailable};
use http_server::{Problem, Query, caller};
use serde::Deserialize;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use utoipa::IntoParams;

use super::event::{AccountChange, Names, Shown, Viewer, reset};
use super::{AFTER_A_FAILURE, Listener, Live, LiveEvent};
use crate::error::Answer;
use crate::metrics::LIVE_DROPPED;

/// Keeps proxies from closing a quiet stream.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A client that takes no text for this long is dropped.
pub(super) const WRITE_LIMIT: Duration = Duration::from_secs(10);
/// How many texts may wait for a client, apart from what the connection holds.
const AHEAD: usize = 4;
const FULL_FOR: Duration = Duration::from_secs(10);

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LiveQuery {
    /// The names of the events, separated by commas; all unless given
    #[param(pattern = "^[a-z]+(,[a-z]+)*$", example = "station,connector")]
    events: Option<String>,
}

/// One client's stream, whichever way it is sent.
pub(super) struct Events {
    source: Source,
    ending: Ending,
    stopping: CancellationToken,
}

/// Where the events of a stream come from.
struct Source {
    listener: Listener,
    names: Names,
    viewer: Arc<Viewer>,
    /// The last position that was sent or passed over.
    position: i64,
    /// Stored events that are still to be sent.
    stored: VecDeque<Arc<Shown>>,
    /// The position up to which stored events were read; `None` if none are left.
    read: Option<i64>,
}

/// Waits for a change of the account that ends the stream.
struct Ending {
    accounts: broadcast::Receiver<AccountChange>,
    viewer: Arc<Viewer>,
}

/// What comes next on a stream.
pub(super) enum Next {
    Event(Arc<Shown>),
    /// Nothing has happened for a while.
    Quiet,
    /// The service stops.
    End,
}

/// What happens, live
///
/// Server-sent events, each with the ids of what it is about. The stream can be continued after the event with the id in
/// `Last-Event-ID`; an event `reset` says that events are missing, because the id is too old, or the client read too slowly.
/// A comment is sent every 15 seconds while nothing happens.
#[utoipa::path(get, path = "/api/v1/live", operation_id = "live", tag = "live",
    params(LiveQuery, ("Last-Event-ID" = Option<String>, Header, pattern = "^[0-9]{0,18}$",
        description = "The id of the last event received; the stream begins now if it is empty")),
    responses((status = 200, description = "An endless stream. The schema is that of one event",
        content_type = "text/event-stream", body = LiveEvent), Invalid, Unavailable))]
pub(crate) async fn stream(live: Data<Live>, Query(query): Query<LiveQuery>, request: HttpRequest) -> Answer {
    let names = Names::parse(query.events.as_deref())?;
    let seen = last_event_id(&request)?;
    let viewer = Viewer::of(&caller(&request), &live.db);
    let (events, lost) = Events::begin(&live, names, viewer, seen).await?;
    let position = events.position();
    let first = if lost { reset(position) } else { format!(": live\nid: {position}\n\n") };
    let (sender, receiver) = mpsc::channel(AHEAD);
    let dropped = Arc::new(OnceLock::new());
    let _ = sender.try_send(Bytes::from(first));
    // Ends with the client, or when the service stops.
    rt::spawn(send(events, sender, Arc::clone(&dropped)));
    let body = stream::unfold((receiver, dropped), |(mut receiver, dropped)| async move {
        if let Some(text) = receiver.recv().await {
            return Some((Ok::<_, actix_web::Error>(text), (receiver, dropped)));
        }
        // A client that was too slow learns it when it reads again.
        let position = dropped.get().copied()?;
        Some((Ok(Bytes::from(reset(position))), (receiver, Arc::default())))
    });
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/event-stream"))
        .insert_header((CACHE_CONTROL, "no-store"))
        // Keeps nginx from buffering events.
        .insert_header(("x-accel-buffering", "no"))
        .streaming(body))
}

/// Sends events, until the client leaves or is too slow. A task of its own, because the server asks for no more while the
/// client does not read.
async fn send(mut events: Events, sender: mpsc::Sender<Bytes>, dropped: Arc<OnceLock<i64>>) {
    // Up to here the client has all events that it wants.
    let mut taken = events.position();
    loop {
        let next = tokio::select! {
            next = events.next(HEARTBEAT) => next,
            () = sender.closed() => return,
        };
        let text = match next {
            Next::Event(shown) => shown.sse.clone(),
            // With the position, so that a client that reconnects need not read everything that it did not want.
            Next::Quiet => Bytes::from(format!(": quiet\nid: {}\n\n", events.position())),
            Next::End => return,
        };
        match tokio::time::timeout(WRITE_LIMIT, sender.send(text)).await {
            Ok(Ok(())) => taken = events.position(),
            Ok(Err(_)) => return,
            Err(_) => break,
        }
    }
    counter!(LIVE_DROPPED).increment(1);
    let _ = dropped.set(taken);
}

/// The position in a text; `None` if it is empty.
pub(super) fn position(field: &'static str, text: &str) -> Result<Option<i64>, Problem> {
    if text.is_empty() {
        return Ok(None);
    }
    let position = Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let position = position.and_then(|text| text.parse().ok());
    position.map(Some).ok_or_else(|| Problem::invalid(field, "expected the id of an event"))
}

fn last_event_id(request: &HttpRequest) -> Result<Option<i64>, Problem> {
    let value = request.headers().get("last-event-id").map(|value| value.to_str().unwrap_or("-"));
    position("last-event-id", value.unwrap_or_default())
}

impl Events {
    /// Begins a stream. Returns also whether events were lost since the client's last one.
    pub(super) async fn begin(
        live: &Live,
        names: Names,
        viewer: Viewer,
        seen: Option<i64>,
    ) -> Result<(Self, bool), crate::error::ApiError> {
        let full = || {
            Problem::unavailable(
                "stream",
                "the maximum number of live streams of this process is open (LIVE_STREAMS)",
                FULL_FOR,
            )
        };
        let (listener, accounts) = live.listen().await.ok_or_else(full)?;
        // The account may have changed between the gate and the first look for such changes.
        if !viewer.is_current().await? {
            let detail = "the sign-in has ended, or the account has other roles now";
            return Err(Problem::unauthorized(detail, true).into());
        }
        let (position, lost) = match seen {
            None => (listener.position, false),
            Some(seen) => {
                let missed = listener.missed(seen).await?;
                (missed.position, missed.lost)
            }
        };
        let read = (position < listener.position).then_some(position);
        let viewer = Arc::new(viewer);
        let ending = Ending { accounts, viewer: Arc::clone(&viewer) };
        let stopping = listener.stopping.clone();
        let source = Source { listener, names, viewer, position, stored: VecDeque::new(), read };
        Ok((Self { source, ending, stopping }, lost))
    }

    /// The last position that was sent or passed over.
    pub(super) fn position(&self) -> i64 {
        self.source.position
    }

    /// Waits for the next event, at most this long.
    pub(super) async fn next(&mut self, at_most: Duration) -> Next {
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => Next::End,
            () = self.ending.wait() => Next::End,
            next = tokio::time::timeout(at_most, self.source.wanted()) => next.unwrap_or(Next::Quiet),
        }
    }
}

impl Ending {
    async fn wait(&mut self) {
        loop {
            let is_concerned = match self.accounts.recv().await {
                Ok(change) => self.viewer.is_concerned_by(change),
                // Changes were missed: a client that reconnects is verified again.
                Err(RecvError::Lagged(_) | RecvError::Closed) => return,
            };
            // It may be a change from before the stream, whose event comes only now. On the heap, because it is rare.
            if is_concerned && !matches!(Box::pin(self.viewer.is_current()).await, Ok(true)) {
                return;
            }
        }
    }
}

impl Source {
    /// Waits for an event that the client wants.
    async fn wanted(&mut self) -> Next {
        loop {
            let shown = match self.any().await {
                Next::Event(shown) => shown,
                other => return other,
            };
            if shown.position > self.position {
                self.position = shown.position;
                if self.names.contain(&shown) && self.viewer.sees(&shown) {
                    return Next::Event(shown);
                }
            }
        }
    }

    /// Waits for any event: the stored ones first.
    async fn any(&mut self) -> Next {
        loop {
            if let Some(shown) = self.stored.pop_front() {
                return Next::Event(shown);
            }
            if let Some(read) = self.read {
                // On the heap, because it is rare and large, and there are many streams.
                Box::pin(self.read_stored(read)).await;
                continue;
            }
            match self.listener.events.recv().await {
                Ok(shown) => return Next::Event(shown),
                // Many events at once, or a client that reads slowly. What was sent twice is dropped by its position.
                Err(RecvError::Lagged(_)) => {
                    self.listener.lagged();
                    self.read = Some(self.position);
                }
                Err(RecvError::Closed) => return Next::End,
            }
        }
    }

    async fn read_stored(&mut self, after: i64) {
        match self.listener.stored(after).await {
            Ok(Some((last, stored))) => {
                self.read = Some(last);
                self.stored = stored.into();
            }
            Ok(None) => self.read = None,
            Err(error) => {
                tracing::warn!(%error, "missed events cannot be read at present");
                tokio::time::sleep(AFTER_A_FAILURE).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_takes_little_memory() {
        fn size<F: Future>(_: &impl Fn(Events, mpsc::Sender<Bytes>, Arc<OnceLock<i64>>) -> F) -> usize {
            size_of::<F>()
        }
        let bytes = size(&send);
        assert!(bytes <= 1024, "{bytes} bytes");
    }
}
