//! Accounts for every request: each `202` must be called back once, with the right decision.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use serde::Serialize;
use uuid::Uuid;

use crate::latency::Latency;
use crate::sink::Callback;

/// A request that was answered `202`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Accepted {
    pub(crate) request: Uuid,
    /// When it was due to be sent.
    pub(crate) due: Instant,
    pub(crate) answered: Instant,
}

/// The clients' results.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) accepted: Vec<Accepted>,
    pub(crate) refused: BTreeMap<u16, u64>,
    /// Number of requests without an answer, by cause.
    pub(crate) unanswered: BTreeMap<String, u64>,
}

impl Asked {
    pub(crate) fn add(&mut self, other: Self) {
        self.accepted.extend(other.accepted);
        for (status, count) in other.refused {
            *self.refused.entry(status).or_default() += count;
        }
        for (why, count) in other.unanswered {
            *self.unanswered.entry(why).or_default() += count;
        }
    }
}

/// The faults that make a measurement worthless.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Faults {
    /// Number of answers other than 202, by status.
    pub refused: BTreeMap<u16, u64>,
    /// Number of requests without an answer, by cause.
    pub unanswered: BTreeMap<String, u64>,
    /// Accepted and never called back.
    pub missing: u64,
    /// Called back more than once.
    pub duplicated: u64,
    /// Called back with a decision that contradicts the access list.
    pub wrong: u64,
    /// Callbacks of requests that this run did not send, and calls that are not callbacks.
    pub foreign: u64,
    /// Accepted and not on record as delivered.
    pub unrecorded: u64,
}

impl Faults {
    /// Whether there are none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl std::fmt::Display for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let counts = [
            ("never called back", self.missing),
            ("called back twice", self.duplicated),
            ("decided wrongly", self.wrong),
            ("foreign callbacks", self.foreign),
            ("not on record as delivered", self.unrecorded),
        ];
        let counts = counts.iter().filter(|(_, count)| *count > 0);
        let mut said: Vec<String> = counts.map(|(what, count)| format!("{count} {what}")).collect();
        said.extend(self.refused.iter().map(|(status, count)| format!("{count} refused with {status}")));
        said.extend(self.unanswered.iter().map(|(why, count)| format!("{count} unanswered ({why})")));
        f.write_str(if said.is_empty() { "none" } else { "" })?;
        f.write_str(&said.join(", "))
    }
}

/// The result of a run.
#[derive(Debug)]
pub struct Outcome {
    /// The accepted requests.
    pub requests: Vec<Uuid>,
    /// Number of accepted requests that were called back.
    pub completed: u64,
    /// From when the first request was due to the last callback.
    pub took: Duration,
    /// From when a request was due to its 202.
    pub answer: Latency,
    /// From the 202 to the callback; zero if the callback arrived first.
    pub callback: Latency,
    /// From when a request was due to its callback.
    pub whole: Latency,
    /// The faults of the run.
    pub faults: Faults,
}

impl Outcome {
    /// Completed requests per second.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        self.completed as f64 / self.took.as_secs_f64().max(f64::EPSILON)
    }
}

pub(crate) fn account(asked: Asked, callbacks: &[Callback], foreign: u64) -> Outcome {
    let mut faults = Faults { refused: asked.refused, unanswered: asked.unanswered, ..Faults::default() };
    faults.foreign = foreign;
    let mut first: HashMap<Uuid, Option<Instant>> =
        asked.accepted.iter().map(|accepted| (accepted.request, None)).collect();
    for callback in callbacks {
        faults.wrong += u64::from(!callback.right);
        match first.get_mut(&callback.request) {
            Some(seen @ None) => *seen = Some(callback.at),
            Some(Some(_)) => faults.duplicated += 1,
            None => faults.foreign += 1,
        }
    }
    let (mut answer, mut from_answer, mut whole) = (Latency::new(), Latency::new(), Latency::new());
    let mut last = None;
    for accepted in &asked.accepted {
        answer.record(accepted.answered.duration_since(accepted.due));
        match first.get(&accepted.request).copied().flatten() {
            Some(at) => {
                from_answer.record(at.saturating_duration_since(accepted.answered));
                whole.record(at.saturating_duration_since(accepted.due));
                last = last.max(Some(at));
            }
            None => faults.missing += 1,
        }
    }
    let began = asked.accepted.iter().map(|accepted| accepted.due).min();
    let took = began.zip(last).map_or(Duration::ZERO, |(began, last)| last.saturating_duration_since(began));
    Outcome {
        completed: asked.accepted.len() as u64 - faults.missing,
        requests: asked.accepted.iter().map(|accepted| accepted.request).collect(),
        took,
        answer,
        callback: from_answer,
        whole,
        faults,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_is_accounted_for() {
        let began = Instant::now();
        let id = Uuid::from_u128;
        let at = |ms| began + Duration::from_millis(ms);
        let accepted = (1..=3).map(|n| Accepted { request: id(n), due: began, answered: at(1) });
        let asked = Asked { accepted: accepted.collect(), ..Asked::default() };
        let callback = |request, ms, right| Callback { request, at: at(ms), right };
        let callbacks = [
            callback(id(1), 3, true),
            callback(id(1), 4, true),
            callback(id(2), 11, false),
            callback(id(9), 2, true),
        ];
        let outcome = account(asked, &callbacks, 0);
        let expected = Faults { missing: 1, duplicated: 1, wrong: 1, foreign: 1, ..Faults::default() };
        assert_eq!(outcome.faults, expected);
        assert_eq!((outcome.completed, outcome.took), (2, Duration::from_millis(11)));
        assert!((outcome.callback.at(100.0) - 10.0).abs() < 0.02, "{:?}", outcome.callback.percentiles());
        assert_eq!(
            outcome.faults.to_string(),
            "1 never called back, 1 called back twice, 1 decided wrongly, 1 foreign callbacks"
        );
    }
}
