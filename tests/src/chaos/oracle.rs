//! The oracle compares every accepted request with the callbacks, the records and the dead letters. It checks what must
//! hold however often an attempt was made.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::evidence::{Evidence, Letter, Told};

/// A violation.
#[derive(Debug, Clone)]
pub(super) struct Violation {
    pub(super) request: String,
    pub(super) what: String,
    /// What was observed of the request.
    pub(super) seen: Value,
}

/// The counts, and the violations.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) delivered: usize,
    pub(super) undeliverable: usize,
    /// Dead letters by reason.
    pub(super) letters: BTreeMap<String, usize>,
    /// Requests whose host accepted a callback more than once.
    pub(super) told_twice: usize,
    /// Requests recorded as undeliverable although a host accepted a callback, because
    /// the worker did not see the answer.
    pub(super) told_all_the_same: usize,
    pub(super) decisions: BTreeMap<String, usize>,
    pub(super) unaccounted: usize,
    pub(super) double_decisions: usize,
    pub(super) late_decisions: usize,
    /// Requests of the healthy host that could not be delivered within the window.
    pub(super) window_over: usize,
    pub(super) violations: Vec<Violation>,
}

pub(super) fn judge(evidence: &Evidence) -> Verdict {
    let mut verdict = Verdict::default();
    for letter in evidence.letters.values().flatten() {
        *verdict.letters.entry(letter.reason.clone()).or_default() += 1;
    }
    for (request, told) in &evidence.callbacks {
        verdict.told(evidence, request, told);
    }
    for (request, url) in &evidence.accepted {
        verdict.request(evidence, request, url);
    }
    for (queue, left) in &evidence.left {
        let what = format!("at {queue} is left: {left}");
        verdict.violations.push(Violation { request: String::new(), what, seen: Value::Null });
    }
    verdict
}

impl Verdict {
    /// All callbacks of a request must carry the same decision, whether or not it is known to be accepted.
    fn told(&mut self, evidence: &Evidence, request: &str, told: &[Told]) {
        if told.iter().any(|other| other.status != told[0].status) {
            self.double_decisions += 1;
            self.violate(evidence, request, "two decisions were told");
        }
        self.told_twice += usize::from(told.iter().filter(|told| told.accepted).count() > 1);
    }

    fn request(&mut self, evidence: &Evidence, request: &str, url: &str) {
        let letters = evidence.letters.get(request).map_or(&[][..], Vec::as_slice);
        let told = evidence.callbacks.get(request).map_or(&[][..], Vec::as_slice);
        let Some(record) = evidence.records.get(request) else {
            if letters.is_empty() {
                self.unaccounted(evidence, request, "neither a record nor a dead letter");
            }
            return;
        };
        let status = record["status"].as_str().unwrap_or_default();
        *self.decisions.entry(status.to_owned()).or_default() += 1;
        if told.iter().any(|told| told.status != status) {
            self.double_decisions += 1;
            self.violate(evidence, request, "what was told is not what is on record");
        }
        let decided_in_time = record["decided_ns"].as_u64() < record["deadline_ns"].as_u64();
        if ["allowed", "not_allowed"].contains(&status) && !decided_in_time {
            self.late_decisions += 1;
            self.violate(evidence, request, "decided after its deadline");
        }
        match record["delivery"].as_str() {
            Some("delivered") => self.delivered(evidence, request, told),
            Some("undeliverable") => {
                self.told_all_the_same += usize::from(told.iter().any(|told| told.accepted));
                self.undeliverable(evidence, request, url, letters);
            }
            _ => self.unaccounted(evidence, request, "its delivery never ended"),
        }
    }

    fn delivered(&mut self, evidence: &Evidence, request: &str, told: &[Told]) {
        self.delivered += 1;
        if !told.iter().any(|told| told.accepted) {
            self.unaccounted(evidence, request, "delivered, and no host accepted a callback");
        }
    }

    fn undeliverable(&mut self, evidence: &Evidence, request: &str, url: &str, letters: &[Letter]) {
        self.undeliverable += 1;
        if letters.is_empty() {
            self.unaccounted(evidence, request, "undeliverable without a dead letter");
        }
        if letters.iter().any(|letter| letter.reason.is_empty()) {
            self.violate(evidence, request, "a dead letter without a reason");
        }
        if url.starts_with(&evidence.healthy) {
            if letters.iter().any(|letter| letter.reason == "callback_window_over") {
                self.window_over += 1;
            } else {
                self.violate(evidence, request, "undeliverable to a healthy host");
            }
        }
    }

    fn unaccounted(&mut self, evidence: &Evidence, request: &str, what: &str) {
        self.unaccounted += 1;
        self.violate(evidence, request, what);
    }

    fn violate(&mut self, evidence: &Evidence, request: &str, what: &str) {
        let told = evidence.callbacks.get(request).map_or(&[][..], Vec::as_slice);
        let first = told.iter().map(|told| told.at).min();
        let told = told.iter().map(|told| {
            let after = first.map_or(0.0, |first| (told.at - first).as_secs_f64());
            json!({"status": told.status, "path": told.path, "accepted": told.accepted, "after_s": after})
        });
        let letters = evidence.letters.get(request).map_or(&[][..], Vec::as_slice);
        let letters = letters
            .iter()
            .map(|letter| json!({"queue": letter.queue, "reason": letter.reason, "detail": letter.detail}));
        let seen = json!({
            "callback_url": evidence.accepted.get(request),
            "record": evidence.records.get(request),
            "callbacks": told.collect::<Vec<_>>(),
            "dead_letters": letters.collect::<Vec<_>>(),
        });
        self.violations.push(Violation { request: request.to_owned(), what: what.to_owned(), seen });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const HEALTHY: &str = "http://healthy";

    fn told(status: &str, accepted: bool) -> Told {
        Told { status: status.to_owned(), path: String::new(), accepted, at: Instant::now() }
    }

    fn letter(reason: &str) -> Letter {
        Letter { queue: String::new(), reason: reason.to_owned(), detail: String::new() }
    }

    fn record(status: &str, delivery: &str, decided_ns: u64) -> Value {
        json!({"status": status, "delivery": delivery, "decided_ns": decided_ns, "deadline_ns": 100})
    }

    fn evidence(record: Option<Value>, told: Vec<Told>, letters: Vec<Letter>) -> Evidence {
        let id = || "id".to_owned();
        Evidence {
            accepted: [(id(), format!("{HEALTHY}/ok"))].into(),
            healthy: HEALTHY.to_owned(),
            callbacks: if told.is_empty() { [].into() } else { [(id(), told)].into() },
            records: record.map(|record| (id(), record)).into_iter().collect(),
            letters: if letters.is_empty() { [].into() } else { [(id(), letters)].into() },
            left: BTreeMap::new(),
        }
    }

    fn violations(evidence: &Evidence) -> Vec<String> {
        judge(evidence).violations.into_iter().map(|violation| violation.what).collect()
    }

    #[test]
    fn what_ended_well_is_no_violation() {
        let delivered = Some(record("allowed", "delivered", 99));
        assert!(violations(&evidence(delivered.clone(), vec![told("allowed", true)], vec![])).is_empty());
        let twice = evidence(
            delivered,
            vec![told("allowed", false), told("allowed", true), told("allowed", true)],
            vec![],
        );
        assert!(violations(&twice).is_empty());
        assert_eq!(judge(&twice).told_twice, 1);
        let over = evidence(
            Some(record("unknown", "undeliverable", 101)),
            vec![],
            vec![letter("callback_window_over")],
        );
        assert!(violations(&over).is_empty());
        assert_eq!(judge(&over).window_over, 1);
        assert!(violations(&evidence(None, vec![], vec![letter("poison")])).is_empty());
    }

    #[test]
    fn what_is_lost_is_found_out() {
        let cases = [
            (None, vec![], vec![], "neither a record nor a dead letter"),
            (
                Some(record("allowed", "pending", 9)),
                vec![told("allowed", true)],
                vec![],
                "its delivery never ended",
            ),
            (
                Some(record("allowed", "delivered", 9)),
                vec![told("allowed", false)],
                vec![],
                "no host accepted",
            ),
            (Some(record("unknown", "undeliverable", 9)), vec![], vec![], "without a dead letter"),
            (
                Some(record("unknown", "undeliverable", 9)),
                vec![],
                vec![letter("poison")],
                "to a healthy host",
            ),
        ];
        for (record, told, letters, expected) in cases {
            let verdict = judge(&evidence(record, told, letters));
            assert!(
                verdict.violations.iter().any(|violation| violation.what.contains(expected)),
                "{expected}"
            );
        }
    }

    #[test]
    fn two_decisions_and_late_ones_are_found_out() {
        let differing = vec![told("allowed", true), told("not_allowed", true)];
        assert_eq!(
            judge(&evidence(Some(record("allowed", "delivered", 9)), differing, vec![])).double_decisions,
            2
        );
        let not_on_record =
            evidence(Some(record("unknown", "delivered", 9)), vec![told("allowed", true)], vec![]);
        assert_eq!(judge(&not_on_record).double_decisions, 1);
        let late = evidence(Some(record("allowed", "delivered", 100)), vec![told("allowed", true)], vec![]);
        assert_eq!(judge(&late).late_decisions, 1);
        let left =
            Evidence { left: [("celery".to_owned(), "1 messages".to_owned())].into(), ..Evidence::default() };
        assert_eq!(violations(&left), ["at celery is left: 1 messages"]);
    }
}
