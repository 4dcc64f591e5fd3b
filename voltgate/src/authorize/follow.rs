//! Follows one request until its decision is called back: by the callback, where this command receives it, and by
//! `GET /requests/{id}`.

use std::time::{Duration, Instant};

use common::decision::Decision;
use serde::Deserialize;
use service_runtime::exit::Failure;
use tokio::time::MissedTickBehavior;

use crate::callback_receiver::{CallbackReceiver, Received};
use crate::client::Service;

/// Most requests are called back before the first look.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// After this many looks a callback that is on record as delivered was delivered to another host.
const PATIENCE: u32 = 3;

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
    /// What the last attempt met that was seen, if it was not the end.
    pub(super) last_attempt: Option<String>,
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
    last_attempt: Option<String>,
    /// Why the last look failed.
    unseen: Option<Failure>,
}

impl Following<'_> {
    /// Returns as soon as the callback is received here, or the record says how the delivery ended. The receiver comes
    /// with the name of the callback.
    pub(super) async fn until_called_back(
        &self,
        mut receiver: Option<(&mut CallbackReceiver, &str)>,
    ) -> Result<Outcome, Failure> {
        let mut reported = Reported::default();
        let time_is_up = tokio::time::sleep(self.wait.saturating_sub(self.asked.elapsed()));
        tokio::pin!(time_is_up);
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        looks.tick().await;
        // How often the record was seen as delivered while the callback had not arrived here.
        let mut elsewhere = 0;
        loop {
            let look = async {
                looks.tick().await;
                self.look(&mut reported).await
            };
            let shown = tokio::select! {
                biased;
                received = received(&mut receiver) => return Ok(self.outcome(received.status, "delivered", None)),
                shown = look => shown,
                () = &mut time_is_up => break,
            };
            let Some(shown) = shown else { continue };
            self.report(&shown, &mut reported);
            match (shown.status, shown.delivery.as_str()) {
                // The callback may be about to be read, unless another host has it.
                (_, "delivered") if receiver.is_some() && elsewhere < PATIENCE => elsewhere += 1,
                (Some(decision), ended @ ("delivered" | "undeliverable")) => {
                    return Ok(self.outcome(decision, ended, reported.last_attempt));
                }
                _ => {}
            }
        }
        match reported.decision {
            Some(decision) => Ok(self.outcome(decision, "pending", reported.last_attempt)),
            None => Err(self.undecided(&reported)),
        }
    }

    fn outcome(&self, decision: Decision, delivery: &str, last_attempt: Option<String>) -> Outcome {
        Outcome { decision, delivery: delivery.to_owned(), took: self.asked.elapsed(), last_attempt }
    }

    /// A key that may not read is refused once, and never asked with again.
    async fn look(&self, reported: &mut Reported) -> Option<Shown> {
        if matches!(reported.unseen, Some(Failure::Refused(_))) {
            return std::future::pending().await;
        }
        let (http, url) = self.api.url(&["requests", self.request]);
        match self.api.send(http.get(url)).await {
            Ok(shown) => {
                reported.unseen = None;
                Some(shown)
            }
            Err(failure) => {
                reported.unseen = Some(failure);
                None
            }
        }
    }

    /// Prints what is new on standard error.
    fn report(&self, shown: &Shown, reported: &mut Reported) {
        let new = shown.status.filter(|_| reported.decision.is_none());
        reported.decision = shown.status;
        let attempts = shown.attempts.get(reported.attempts..).unwrap_or_default();
        reported.attempts = shown.attempts.len();
        reported.last_attempt = shown.attempts.last().map(|attempt| attempt.outcome.clone());
        let waits = shown.status.is_none() && !std::mem::replace(&mut reported.waiting, true);
        if self.quiet {
            return;
        }
        if waits {
            eprintln!("request {} is accepted and waits for a worker", self.request);
        }
        if let Some(decision) = new {
            eprintln!("decided: {decision}; request {} is being called back", self.request);
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

/// The callback; never returns without a receiver.
async fn received(receiver: &mut Option<(&mut CallbackReceiver, &str)>) -> Received {
    let received = match receiver {
        Some((receiver, name)) => receiver.next(name).await,
        None => None,
    };
    match received {
        Some(received) => received,
        None => std::future::pending().await,
    }
}
