//! A client of server-sent events.

use reqwest::{RequestBuilder, Response};
use serde_json::Value;

use crate::PATIENCE;

/// An open stream of server-sent events.
#[derive(Debug)]
pub struct EventStream {
    response: Response,
    text: String,
    /// The last id that was received, also without an event: the value of `Last-Event-ID` to continue.
    pub last_id: String,
}

/// One event of a stream.
#[derive(Debug, Clone)]
pub struct StreamEvent {
    /// The id.
    pub id: String,
    /// The name.
    pub kind: String,
    /// The data, which is JSON.
    pub data: Value,
}

impl EventStream {
    /// Opens a stream, which must be accepted.
    pub async fn open(request: RequestBuilder) -> Self {
        let response = request.send().await.expect("the service answers");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: String::new(), last_id: String::new() }
    }

    /// The next event; `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<StreamEvent> {
        loop {
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap_or("")
                };
                let event = StreamEvent {
                    id: field("id").to_owned(),
                    kind: field("event").to_owned(),
                    data: serde_json::from_str(field("data")).unwrap_or_default(),
                };
                self.text = rest.to_owned();
                if !event.id.is_empty() {
                    self.last_id.clone_from(&event.id);
                }
                if !event.kind.is_empty() {
                    return Some(event);
                }
            }
            if !self.read().await {
                return None;
            }
        }
    }

    /// Waits until the stream has begun: events from here on are on it.
    pub async fn begun(mut self) -> Self {
        while !self.text.contains("\n\n") {
            assert!(self.read().await, "the stream ended before it began");
        }
        self
    }

    async fn read(&mut self) -> bool {
        let piece = tokio::time::timeout(PATIENCE, self.response.chunk()).await;
        let Ok(Some(piece)) = piece.expect("something is sent in time") else { return false };
        self.text.push_str(std::str::from_utf8(&piece).expect("whole characters of UTF-8"));
        true
    }
}
