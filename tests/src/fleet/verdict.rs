//! Compares what must hold of every call with what was observed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use super::callers::Call;
use super::member::Kind;
use crate::callback_host::Callback;

/// A worker that has done a smaller share of the calls than this, in percent, hardly took part.
pub(super) const FAIR_SHARE: usize = 10;

/// Everything that was observed.
pub(super) struct Evidence {
    pub(super) accepted: BTreeMap<String, Call>,
    pub(super) callbacks: Vec<Callback>,
    /// The decision on record of each call that has one: those that our worker processed.
    pub(super) records: HashMap<String, String>,
    pub(super) letters: Vec<Value>,
    /// Messages that are still in the queues.
    pub(super) left: u64,
}

/// The counts, and the violations.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) accepted: usize,
    pub(super) from_python: usize,
    pub(super) callbacks: usize,
    pub(super) decisions: BTreeMap<String, usize>,
    /// Number of calls by the worker that called back first.
    pub(super) told_by: BTreeMap<Kind, usize>,
    pub(super) told_again: usize,
    pub(super) told_by_both: usize,
    pub(super) records: usize,
    pub(super) violations: Vec<String>,
}

pub(super) fn judge(evidence: &Evidence, kills: &BTreeMap<Kind, usize>) -> Verdict {
    let mut told: HashMap<&str, Vec<&Callback>> = HashMap::new();
    for callback in &evidence.callbacks {
        told.entry(callback.id()).or_default().push(callback);
    }
    let mut verdict = Verdict {
        accepted: evidence.accepted.len(),
        from_python: evidence.accepted.values().filter(|call| call.from_python).count(),
        callbacks: evidence.callbacks.len(),
        records: evidence.records.len(),
        ..Verdict::default()
    };
    for (id, call) in &evidence.accepted {
        let told = told.get(id.as_str()).map_or(&[][..], Vec::as_slice);
        verdict.call(id, call, told, evidence.records.get(id));
    }
    verdict.shares(kills);
    for letter in &evidence.letters {
        verdict.violations.push(format!("a dead letter: {}", letter["properties"]["headers"]));
    }
    if evidence.left > 0 {
        verdict.violations.push(format!("{} messages are still in the queues", evidence.left));
    }
    verdict
}

impl Verdict {
    fn call(&mut self, id: &str, call: &Call, told: &[&Callback], record: Option<&String>) {
        let Some(first) = told.first() else {
            self.violations.push(format!("{id}: nobody was called back, {call:?}, on record {record:?}"));
            return;
        };
        *self.told_by.entry(Kind::of(first)).or_default() += 1;
        *self.decisions.entry(first.status().to_owned()).or_default() += 1;
        self.told_again += usize::from(told.len() > 1);
        let kinds: BTreeSet<Kind> = told.iter().map(|callback| Kind::of(callback)).collect();
        self.told_by_both += usize::from(kinds.len() > 1);
        let mut decisions: BTreeSet<&str> = told.iter().map(|callback| callback.status()).collect();
        decisions.extend(record.map(String::as_str));
        if decisions != BTreeSet::from([call.expected.as_str()]) {
            self.violations.push(format!("{id}: {decisions:?} instead of {}", call.expected));
        }
        if kinds.contains(&Kind::Ours) && record.is_none() {
            self.violations.push(format!("{id}: our worker called back, and there is no record"));
        }
    }

    /// Both workers must have taken part, and both must have been killed.
    fn shares(&mut self, kills: &BTreeMap<Kind, usize>) {
        for kind in [Kind::Ours, Kind::Python] {
            let told = self.told_by.get(&kind).copied().unwrap_or(0);
            if told * 100 < self.accepted * FAIR_SHARE || told == 0 {
                let what = format!("{kind}: {told} of {} calls are less than a fair share", self.accepted);
                self.violations.push(what);
            }
            if kills.get(&kind).is_none_or(|kills| *kills == 0) {
                self.violations.push(format!("{kind}: it was never killed"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use serde_json::json;

    use super::*;

    fn callback(id: &str, status: &str, agent: &str) -> Callback {
        let headers = [("webhook-id", id), ("user-agent", agent)];
        Callback {
            path: String::new(),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            body: json!({ "status": status }),
            at: Instant::now(),
            accepted: true,
        }
    }

    fn evidence() -> Evidence {
        let call = |from_python| Call { expected: "allowed".to_owned(), from_python };
        Evidence {
            accepted: [("a".to_owned(), call(true)), ("b".to_owned(), call(false))].into(),
            callbacks: vec![callback("a", "allowed", "voltgate"), callback("b", "allowed", "python")],
            records: [("a".to_owned(), "allowed".to_owned())].into(),
            letters: Vec::new(),
            left: 0,
        }
    }

    fn violations(evidence: &Evidence) -> String {
        judge(evidence, &[(Kind::Ours, 1), (Kind::Python, 1)].into()).violations.join("\n")
    }

    #[test]
    fn what_ended_well_is_no_violation() {
        let mut told_twice = evidence();
        told_twice.callbacks.push(callback("a", "allowed", "python"));
        assert_eq!(violations(&told_twice), "");
        assert_eq!(judge(&told_twice, &BTreeMap::new()).told_by_both, 1);
    }

    #[test]
    fn what_must_not_be_is_found_out() {
        let with = |change: fn(&mut Evidence)| {
            let mut evidence = evidence();
            change(&mut evidence);
            violations(&evidence)
        };
        let lost = with(|evidence| drop(evidence.callbacks.pop()));
        assert!(lost.contains("nobody was called back") && lost.contains("fair share"), "{lost}");
        let twice = with(|evidence| evidence.callbacks.push(callback("a", "not_allowed", "python")));
        assert!(twice.contains("instead of allowed"), "{twice}");
        let another = with(|evidence| drop(evidence.records.insert("a".to_owned(), "unknown".to_owned())));
        assert!(another.contains("instead of allowed"), "{another}");
        assert!(with(|evidence| evidence.records.clear()).contains("no record"));
        assert!(with(|evidence| evidence.letters.push(json!({}))).contains("dead letter"));
        assert!(with(|evidence| evidence.left = 1).contains("still in the queues"));
        assert!(judge(&evidence(), &BTreeMap::new()).violations.join("").contains("never killed"));
    }
}
