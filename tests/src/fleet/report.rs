//! The result of a run, as a text table and as JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::Plan;
use super::member::Kind;
use super::verdict::Verdict;

const VIOLATIONS_SHOWN: usize = 20;

/// The result of a run.
#[derive(Debug)]
pub struct Report {
    pub(super) plan: Plan,
    pub(super) kills: BTreeMap<Kind, usize>,
    pub(super) refused: BTreeMap<u16, usize>,
    pub(super) unanswered: usize,
    pub(super) verdict: Verdict,
    pub(super) took: Duration,
    /// Where the logs are, if they were kept.
    pub(super) logs: Option<PathBuf>,
}

impl Report {
    /// Whether nothing was violated.
    pub fn is_clean(&self) -> bool {
        self.verdict.violations.is_empty()
    }

    /// The result as JSON.
    pub fn to_json(&self) -> Value {
        let verdict = &self.verdict;
        let by_kind = |counts: &BTreeMap<Kind, usize>| {
            let count = |kind| counts.get(&kind).copied().unwrap_or(0);
            json!({"ours": count(Kind::Ours), "python": count(Kind::Python)})
        };
        json!({
            "seed": self.plan.seed,
            "queue_type": self.plan.queue_type.name(),
            "seconds": self.took.as_secs(),
            "clean": self.is_clean(),
            "kills": by_kind(&self.kills),
            "accepted": verdict.accepted,
            "from_python": verdict.from_python,
            "refused": self.refused,
            "unanswered": self.unanswered,
            "callbacks": verdict.callbacks,
            "told_by": by_kind(&verdict.told_by),
            "told_again": verdict.told_again,
            "told_by_both": verdict.told_by_both,
            "decisions": verdict.decisions,
            "records": verdict.records,
            "violations": verdict.violations,
            "logs": self.logs,
        })
    }

    fn rows(&self) -> Vec<(String, usize)> {
        let verdict = &self.verdict;
        let row = |label: &str, value: usize| (label.to_owned(), value);
        let mut rows = vec![row("calls accepted", verdict.accepted)];
        rows.push(row("  by our API", verdict.accepted - verdict.from_python));
        rows.push(row("  published by a Python client", verdict.from_python));
        rows.extend(
            self.refused.iter().map(|(status, count)| row(&format!("refused with {status}"), *count)),
        );
        rows.push(row("without an answer", self.unanswered));
        rows.extend(self.kills.iter().map(|(kind, count)| row(&format!("worker killed, {kind}"), *count)));
        rows.push(row("callbacks", verdict.callbacks));
        rows.extend(
            verdict.told_by.iter().map(|(kind, count)| row(&format!("  first made by {kind}"), *count)),
        );
        rows.extend(verdict.decisions.iter().map(|(status, count)| row(&format!("  {status}"), *count)));
        rows.push(row("calls told more than once", verdict.told_again));
        rows.push(row("  by both workers", verdict.told_by_both));
        rows.push(row("records of our worker", verdict.records));
        rows.push(row("violations", verdict.violations.len()));
        rows
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan { seed, requests, queue_type, .. } = self.plan;
        let (seconds, queue_type) = (self.took.as_secs(), queue_type.name());
        writeln!(
            f,
            "fleet: {queue_type} queue, {seconds} s, again with: make fleet SEED={seed} REQUESTS={requests} QUEUE={queue_type}"
        )?;
        for (label, value) in self.rows() {
            writeln!(f, "  {label:<42} {value:>8}")?;
        }
        for violation in self.verdict.violations.iter().take(VIOLATIONS_SHOWN) {
            writeln!(f, "VIOLATION {violation}")?;
        }
        let more = self.verdict.violations.len().saturating_sub(VIOLATIONS_SHOWN);
        if more > 0 {
            writeln!(f, "and {more} more violations")?;
        }
        match &self.logs {
            Some(logs) => writeln!(f, "the logs are kept in {}", logs.display()),
            None => Ok(()),
        }
    }
}
