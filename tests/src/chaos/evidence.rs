//! What can be observed of every request once the system is at rest.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use reqwest::StatusCode;
use serde_json::Value;

use super::system::System;
use super::traffic::Hosts;
use crate::callback_host::{Callback, CallbackHost};
use crate::eventually;

/// The callback window, plus the time that starting, recovering and counting may take.
const REST_WITHIN: Duration = Duration::from_secs(40 + 90);
/// RabbitMQ counts the messages of a quorum queue every five seconds.
const EMPTY_FOR: Duration = Duration::from_secs(7);
const LOOK_EVERY: Duration = Duration::from_millis(500);
const AT_ONCE: usize = 16;

/// The relevant parts of a callback.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) status: String,
    pub(super) path: String,
    pub(super) accepted: bool,
    pub(super) at: Instant,
}

/// The relevant parts of a dead letter.
#[derive(Debug, Clone)]
pub(super) struct Letter {
    pub(super) queue: String,
    pub(super) reason: String,
    pub(super) detail: String,
}

/// Everything observed, by request.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    /// The callback URL of each accepted request.
    pub(super) accepted: BTreeMap<String, String>,
    /// The prefix of the healthy host's URL.
    pub(super) healthy: String,
    pub(super) callbacks: HashMap<String, Vec<Told>>,
    pub(super) records: HashMap<String, Value>,
    pub(super) letters: HashMap<String, Vec<Letter>>,
    /// Messages that are still in the queues, by queue.
    pub(super) left: BTreeMap<String, String>,
}

impl Evidence {
    /// Waits until the system is at rest, and collects the evidence.
    pub(super) async fn gather(system: &System, hosts: &Hosts, accepted: Vec<(String, String)>) -> Self {
        let left = until_at_rest(system).await;
        let accepted: BTreeMap<_, _> = accepted.into_iter().collect();
        let records = records(system, accepted.keys()).await;
        Self {
            records,
            healthy: hosts.healthy().url(""),
            callbacks: callbacks(hosts),
            letters: letters(system).await,
            accepted,
            left,
        }
    }
}

/// Waits until every work queue has been empty for a while, or the time is over; returns what is left, by queue.
async fn until_at_rest(system: &System) -> BTreeMap<String, String> {
    let (began, mut busy) = (Instant::now(), Instant::now());
    loop {
        let left = left(system).await;
        if !left.is_empty() {
            busy = Instant::now();
        }
        if busy.elapsed() > EMPTY_FOR || began.elapsed() > REST_WITHIN {
            return left;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The messages in the queues, ready or unacknowledged. Dead letters are at rest. Queues that live as long as a
/// connection (for control messages) hold no requests, and RabbitMQ does not count one that was deleted and declared
/// again at once.
async fn left(system: &System) -> BTreeMap<String, String> {
    let deployment = &system.deployment;
    let queues = deployment.servers.broker_get(&format!("queues/{}", deployment.vhost)).await;
    let Some(queues) = queues.as_ref().and_then(Value::as_array) else {
        return BTreeMap::from([("the broker".to_owned(), "no answer".to_owned())]);
    };
    let name = |queue: &Value| queue["name"].as_str().unwrap_or_default().to_owned();
    let worked_off =
        queues.iter().filter(|queue| queue["durable"] == true && !name(queue).ends_with(".dead"));
    let left = worked_off.filter_map(|queue| match queue["messages"].as_u64() {
        Some(0) => None,
        Some(count) => Some((name(queue), format!("{count} messages, {}", where_they_are(queue)))),
        None => Some((name(queue), format!("messages that are not counted: {queue}"))),
    });
    left.collect()
}

/// Whether they are ready, unacknowledged, or on their way to another queue: the cause differs.
fn where_they_are(queue: &Value) -> String {
    let count = |name: &str| queue[name].as_u64().unwrap_or_default();
    let (ready, unacknowledged) = (count("messages_ready"), count("messages_unacknowledged"));
    format!("{ready} ready, {unacknowledged} in flight, {} being dead-lettered", count("messages_dlx"))
}

async fn records(system: &System, requests: impl Iterator<Item = &String>) -> HashMap<String, Value> {
    let (http, api_url) = (&system.deployment.http, &system.api_urls[0]);
    let reading =
        requests.map(|request| async move { Some((request.clone(), read(http, api_url, request).await?)) });
    futures_util::stream::iter(reading)
        .buffer_unordered(AT_ONCE)
        .filter_map(async |found| found)
        .collect()
        .await
}

/// Repeats the request until there is an answer: public-api may notice a broken
/// connection to Redis only when it uses it.
async fn read(http: &reqwest::Client, api_url: &str, request: &str) -> Option<Value> {
    let url = format!("{api_url}/requests/{request}");
    let answered = eventually("an answer about a record", async || {
        let response = http.get(&url).send().await.ok()?;
        [StatusCode::OK, StatusCode::NOT_FOUND].contains(&response.status()).then_some(response)
    })
    .await;
    answered.error_for_status().ok()?.json().await.ok()
}

fn callbacks(hosts: &Hosts) -> HashMap<String, Vec<Told>> {
    let mut told: HashMap<String, Vec<Told>> = HashMap::new();
    for callback in hosts.all().iter().flat_map(CallbackHost::received) {
        told.entry(callback.id().to_owned()).or_default().push(Told::from(callback));
    }
    told
}

impl From<Callback> for Told {
    fn from(callback: Callback) -> Self {
        let status = callback.status().to_owned();
        Self { status, path: callback.path, accepted: callback.accepted, at: callback.at }
    }
}

/// Takes the dead letters off their queues: no one else needs them.
async fn letters(system: &System) -> HashMap<String, Vec<Letter>> {
    let mut letters: HashMap<String, Vec<Letter>> = HashMap::new();
    for queue in ["celery.dead", "celery.callbacks.dead"] {
        loop {
            let some = system.deployment.drain(queue).await;
            if some.is_empty() {
                break;
            }
            for message in some {
                let header = |name: &str| {
                    message["properties"]["headers"][name].as_str().unwrap_or_default().to_owned()
                };
                let letter = Letter {
                    queue: queue.to_owned(),
                    reason: header("dead_reason"),
                    detail: header("dead_detail"),
                };
                letters.entry(header("id")).or_default().push(letter);
            }
        }
    }
    letters
}
