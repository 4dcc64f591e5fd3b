//! Clients that keep sending requests, as real clients do: after a refusal or a cut
//! connection they wait a little and retry.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::deployment::{Refused, try_ask};

const WAIT_AFTER_REFUSAL: Duration = Duration::from_millis(50);

/// What a client sends next.
#[derive(Debug, Clone)]
pub struct Question {
    /// The public-api to call.
    pub api_url: String,
    /// The driver to ask about.
    pub driver: String,
    /// Where the decision is sent.
    pub callback_url: String,
    /// How long the client waits afterwards.
    pub pause: Duration,
}

/// The outcome of all requests.
#[derive(Debug, Default)]
pub struct Asked {
    /// Id and callback URL of each request that was answered `202`.
    pub accepted: Vec<(String, String)>,
    /// Number of answers with another status, by status.
    pub refused: BTreeMap<u16, usize>,
    /// Number of requests without an answer.
    pub unanswered: usize,
}

impl Asked {
    /// The accepted requests.
    pub fn ids(&self) -> Vec<String> {
        self.accepted.iter().map(|(id, _)| id.clone()).collect()
    }

    fn add(&mut self, other: Self) {
        self.accepted.extend(other.accepted);
        self.unanswered += other.unanswered;
        for (status, count) in other.refused {
            *self.refused.entry(status).or_default() += count;
        }
    }
}

/// Running clients.
#[derive(Debug)]
pub struct Load {
    on: Arc<AtomicBool>,
    accepted: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Asked>>,
}

impl Load {
    /// Starts a client for each of these closures, which returns the client's next request.
    pub fn start<Q>(http: &reqwest::Client, questions: Vec<Q>) -> Self
    where
        Q: FnMut() -> Question + Send + 'static,
    {
        let (on, accepted) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
        let client =
            |questions| tokio::spawn(ask_on(http.clone(), questions, Arc::clone(&on), Arc::clone(&accepted)));
        let clients = questions.into_iter().map(client).collect();
        Self { on, accepted, clients }
    }

    /// The number of requests accepted so far.
    pub fn accepted_so_far(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Lets every client finish its last request.
    pub async fn stop(self) -> Asked {
        self.on.store(false, Ordering::Relaxed);
        let mut asked = Asked::default();
        for client in self.clients {
            asked.add(client.await.expect("a client does not panic"));
        }
        asked
    }
}

async fn ask_on(
    http: reqwest::Client,
    mut questions: impl FnMut() -> Question,
    on: Arc<AtomicBool>,
    accepted: Arc<AtomicUsize>,
) -> Asked {
    let mut asked = Asked::default();
    while on.load(Ordering::Relaxed) {
        let Question { api_url, driver, callback_url, pause } = questions();
        match try_ask(&http, &api_url, &driver, &callback_url).await {
            Ok(id) => {
                asked.accepted.push((id, callback_url));
                accepted.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(pause).await;
                continue;
            }
            Err(Refused::With(status)) => *asked.refused.entry(status).or_default() += 1,
            Err(Refused::NoAnswer) => asked.unanswered += 1,
        }
        tokio::time::sleep(WAIT_AFTER_REFUSAL).await;
    }
    asked
}
