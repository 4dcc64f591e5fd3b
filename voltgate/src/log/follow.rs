//! Follows the stream of decisions (server-sent events) across interruptions.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use reqwest::Response;
use serde_json::Value;
use service_runtime::exit::Failure;

use super::row::Rows;
use super::{DEFAULT_BEFORE_FOLLOWING, LogArgs, page};
use crate::client::Service;

/// The longest silence; the stream has a heartbeat every 15 s.
const SILENCE: Duration = Duration::from_secs(40);
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How long the service may be unavailable.
const AWAY: Duration = Duration::from_secs(120);
/// Maximum size of an event, which normally has a few kB.
const MAX_EVENT: usize = 1 << 20;
/// The stream is endless.
const NO_LIMIT: Duration = Duration::from_secs(u32::MAX as u64);

/// Parses server-sent events from the chunks of the stream.
#[derive(Default)]
struct Events {
    text: Vec<u8>,
}

/// The relevant fields of an event.
#[derive(Debug, Default, PartialEq, Eq)]
struct Event {
    id: Option<String>,
    kind: String,
    data: String,
}

/// Prints the newest decisions, oldest first, and then new ones, until the output is closed.
pub(super) async fn follow(api: &Service, args: &LogArgs, rows: &mut Rows) -> Result<(), Failure> {
    // The stream is opened first, so that no decision is missed between the two.
    let mut stream = open(api, args, None).await?;
    let before = page(api, args, args.limit.unwrap_or(DEFAULT_BEFORE_FOLLOWING).max(1), None).await?.requests;
    let mut seen: HashSet<String> = before.iter().filter_map(id).collect();
    if args.limit != Some(0) && !before.iter().rev().all(|request| rows.print(request)) {
        return Ok(());
    }
    let mut last_id = None;
    loop {
        if !print_until_it_ends(&mut stream, rows, &mut seen, &mut last_id).await {
            return Ok(());
        }
        seen.clear();
        eprintln!("the stream of decisions was interrupted; trying again");
        stream = open_again(api, args, last_id.as_deref()).await?;
    }
}

fn id(request: &Value) -> Option<String> {
    request["request_id"].as_str().map(str::to_owned)
}

async fn open(api: &Service, args: &LogArgs, last_id: Option<&str>) -> Result<Response, Failure> {
    let (http, mut url) = api.url(&["requests", "stream"]);
    for (name, value) in args.filters() {
        if let Some(value) = value {
            url.query_pairs_mut().append_pair(name, value);
        }
    }
    let mut request = http.get(url).timeout(NO_LIMIT);
    if let Some(last_id) = last_id {
        request = request.header("last-event-id", last_id);
    }
    api.open(request).await
}

async fn open_again(api: &Service, args: &LogArgs, last_id: Option<&str>) -> Result<Response, Failure> {
    let began = Instant::now();
    loop {
        tokio::time::sleep(AGAIN_AFTER).await;
        match open(api, args, last_id).await {
            Err(error) if began.elapsed() > AWAY => return Err(error),
            Err(_) => {}
            Ok(stream) => return Ok(stream),
        }
    }
}

/// Returns `false` if the output is closed.
async fn print_until_it_ends(
    stream: &mut Response,
    rows: &mut Rows,
    seen: &mut HashSet<String>,
    last_id: &mut Option<String>,
) -> bool {
    let mut events = Events::default();
    while let Ok(Ok(Some(piece))) = tokio::time::timeout(SILENCE, stream.chunk()).await {
        events.text.extend_from_slice(&piece);
        if events.text.len() > MAX_EVENT {
            return true;
        }
        while let Some(event) = events.next() {
            *last_id = event.id.or(last_id.take());
            match event.kind.as_str() {
                "decision" => {
                    let request: Value = serde_json::from_str(&event.data).unwrap_or_default();
                    let is_new = id(&request).is_none_or(|id| !seen.remove(&id));
                    if is_new && !rows.print(&request) {
                        return false;
                    }
                }
                "gap" => eprintln!("decisions may be missing here: see `voltgate log` without --follow"),
                _ => {}
            }
        }
    }
    true
}

impl Events {
    /// The next complete event.
    fn next(&mut self) -> Option<Event> {
        let end = self.text.windows(2).position(|two| two == b"\n\n")?;
        let text: Vec<u8> = self.text.drain(..end + 2).collect();
        let mut event = Event::default();
        for line in String::from_utf8_lossy(&text).lines() {
            match line.split_once(": ") {
                Some(("id", id)) => event.id = Some(id.to_owned()),
                Some(("event", kind)) => kind.clone_into(&mut event.kind),
                Some(("data", data)) => data.clone_into(&mut event.data),
                _ => {}
            }
        }
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_however_they_are_cut() {
        let text =
            "id: 1-0\n\n: nothing new\nid: 2-0\n\nid: 3-0\nevent: decision\ndata: {\"a\": \"b: c\"}\n\n";
        let mut events = Events::default();
        let mut read = Vec::new();
        for byte in text.bytes() {
            events.text.push(byte);
            read.extend(events.next());
        }
        let ids: Vec<_> = read.iter().filter_map(|event| event.id.as_deref()).collect();
        assert_eq!(ids, ["1-0", "2-0", "3-0"]);
        assert_eq!((read[2].kind.as_str(), read[2].data.as_str()), ("decision", r#"{"a": "b: c"}"#));
        assert!(events.text.is_empty());
    }
}
