//! Follows one request until its decision is called back: by the callback, where this command receives it, and by
//! `GET /requests/{id}`.

use std::time::{Duration, Instant};

use common::decision::Decision;
use serde::Deserialize;
use service_runtime::exit::Failure;

use crate::callback_receiver::CallbackReceiver;
use crate::client::Service;

/// The name of the callback, the last part of its path.
pub(super) const NAME: &str = "decision";
/// Most requests are called back before the first look.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// The request to follow.
pub(super) struct Following<'a> {
    pub(super) api: &'a Service,
    pub(super) request: &'a str,
    pub(super) asked: Instant,
    pub(super) wait: Duration,
    /// Whether only the end is shown.
    pub(super) quiet: bool,
}

/// How it ended.
pub(super) struct Outcome {
    pub(super) decision: Decision,
    /// `delivered`, `undeliverable`, or `pending` if the time was up.
    pub(super) delivery: String,
    pub(super) took: Duration,
}

/// What `GET /requests/{id}` shows.
#[derive(Deserialize)]
struct Shown {
    status: Option<Decision>,
    delivery: String,
    attempts: Vec<Attempt>,
}

#[derive(Deserialize)]
struct Attempt {
    number: u32,
    outcome: String,
}

/// What was reported so far.
#[derive(Default)]
struct Reported {
    waiting: bool,
    decision: Option<Decision>,
    attempts: usize,
    /// Why the last look failed.
    unseen: Option<String>,
}

impl Following<'_> {
    /// Returns as soon as the callback is received here, or the record says how the delivery ended.
    pub(super) async fn until_called_back(
        &self,
        mut receiver: Option<&mut CallbackReceiver>,
    ) -> Result<Outcome, Failure> {
        let mut reported = Reported::default();
        while self.asked.elapsed() < self.wait {
            let received = match &mut receiver {
                Some(receiver) => receiver.next(NAME, LOOK_EVERY).await,
                None => {
                    tokio::time::sleep(LOOK_EVERY).await;
                    None
                }
            };
            if let Some(received) = received {
                return Ok(self.outcome(received.status, "delivered"));
            }
            let Some(shown) = self.look(&mut reported).await else { continue };
            self.report(&shown, &mut reported);
            match (shown.status, shown.delivery.as_str()) {
                // The callback that was delivered is about to be read above.
                (_, "delivered") if receiver.is_some() => {}
                (Some(decision), ended @ ("delivered" | "undeliverable")) => {
                    return Ok(self.outcome(decision, ended));
                }
                _ => {}
            }
        }
        reported
            .decision
            .map(|decision| self.outcome(decision, "pending"))
            .ok_or_else(|| self.undecided(&reported))
    }

    fn outcome(&self, decision: Decision, delivery: &str) -> Outcome {
        Outcome { decision, delivery: delivery.to_owned(), took: self.asked.elapsed() }
    }

    async fn look(&self, reported: &mut Reported) -> Option<Shown> {
        let (http, url) = self.api.url(&["requests", self.request]);
        let shown = self.api.send(http.get(url)).await;
        shown.map_err(|error| reported.unseen = Some(error.to_string())).ok()
    }

    /// Prints what is new on standard error.
    fn report(&self, shown: &Shown, reported: &mut Reported) {
        let new = shown.status.filter(|_| reported.decision.is_none());
        reported.decision = shown.status;
        let attempts = shown.attempts.get(reported.attempts..).unwrap_or_default();
        reported.attempts = shown.attempts.len();
        let waits = shown.status.is_none() && !std::mem::replace(&mut reported.waiting, true);
        if self.quiet {
            return;
        }
        if waits {
            eprintln!("request {} is accepted and waits for a worker", self.request);
        }
        if let Some(decision) = new {
            eprintln!("decided: {decision}; it is being called back");
        }
        for Attempt { number, outcome } in attempts {
            eprintln!("callback, attempt {number}: {outcome}");
        }
    }

    fn undecided(&self, reported: &Reported) -> Failure {
        let (seconds, request) = (self.wait.as_secs(), self.request);
        let why = match &reported.unseen {
            _ if reported.waiting => "it is accepted, but no worker has taken it: is one running?".to_owned(),
            Some(why) => format!(
                "the worker may be stopped, or may be unable to call back to this machine; the request cannot be \
                 looked up: {why}"
            ),
            None => "the worker may be stopped, or may be unable to call back to this machine".to_owned(),
        };
        Failure::broken(format!("no decision on request {request} within {seconds} seconds: {why}"))
    }
}
