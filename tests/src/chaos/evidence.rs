//! What is there to be seen of every request, once the system has come to rest.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use reqwest::StatusCode;
use serde_json::Value;

use super::system::System;
use super::traffic::Hosts;
use crate::callback_host::{Callback, CallbackHost};
use crate::eventually;

/// The callback window, and as much again as starting, recovering and counting may take.
const REST_WITHIN: Duration = Duration::from_secs(40 + 90);
/// RabbitMQ counts the messages of a quorum queue every five seconds.
const EMPTY_FOR: Duration = Duration::from_secs(7);
const LOOK_EVERY: Duration = Duration::from_millis(500);
const AT_ONCE: usize = 16;

/// A callback, as far as it matters.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) status: String,
    pub(super) path: String,
    pub(super) accepted: bool,
    pub(super) at: Instant,
}

/// A dead letter, as far as it matters.
#[derive(Debug, Clone)]
pub(super) struct Letter {
    pub(super) queue: String,
    pub(super) reason: String,
    pub(super) detail: String,
}

/// Everything, by request.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    /// Of each request that was accepted, its callback URL.
    pub(super) accepted: BTreeMap<String, String>,
    /// What the healthy host's URL begins with.
    pub(super) healthy: String,
    pub(super) callbacks: HashMap<String, Vec<Told>>,
    pub(super) records: HashMap<String, Value>,
    pub(super) letters: HashMap<String, Vec<Letter>>,
    /// What is still in the queues, by queue.
    pub(super) left: BTreeMap<String, String>,
}

impl Evidence {
    /// Waits until the system has come to rest, and looks.
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

/// Waits until every queue that is worked off has been empty for a while; gives what is left, by queue.
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

/// What is in the queues, waiting or in hand. Dead letters have come to rest; queues that live as long as a connection (of
/// control messages) hold no request, and RabbitMQ forgets to count one that was deleted and declared again at once.
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

/// Waiting, with a consumer, or on their way to another queue: what keeps them differs.
fn where_they_are(queue: &Value) -> String {
    let count = |name: &str| queue[name].as_u64().unwrap_or_default();
    let (ready, unacknowledged) = (count("messages_ready"), count("messages_unacknowledged"));
    format!("{ready} ready, {unacknowledged} in hand, {} being dead-lettered", count("messages_dlx"))
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

/// Asked again for as long as there is no answer: a connection to Redis may be found broken only when it is used.
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

/// Taken off their queues: nobody else wants them any more.
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
