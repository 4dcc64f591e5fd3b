//! The result of a run, as a text table and as JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::oracle::Verdict;

const VIOLATIONS_SHOWN: usize = 20;

/// The result of a run.
#[derive(Debug)]
pub struct Report {
    pub(super) seed: u64,
    pub(super) length: Duration,
    /// How often each fault was injected.
    pub(super) faults: BTreeMap<String, usize>,
    pub(super) accepted: usize,
    pub(super) refused: BTreeMap<u16, usize>,
    pub(super) unanswered: usize,
    pub(super) duplicates: usize,
    pub(super) verdict: Verdict,
    /// The longest time from the end of a fault to the next callback of the healthy host, and which fault it was.
    pub(super) recovery: Option<(Duration, String)>,
    /// Unexpected events of our processes.
    pub(super) complaints: Vec<String>,
    /// Where the logs are, if they were kept.
    pub(super) logs: Option<PathBuf>,
}

impl Report {
    /// Whether nothing was violated, and there was something to check.
    pub fn is_clean(&self) -> bool {
        self.verdict.violations.is_empty() && self.complaints.is_empty() && self.accepted > 0
    }

    /// The result as JSON.
    pub fn to_json(&self) -> Value {
        let verdict = &self.verdict;
        let violations = verdict.violations.iter().map(|violation| {
            json!({"request_id": violation.request, "what": violation.what, "seen": violation.seen})
        });
        json!({
            "seed": self.seed,
            "seconds": self.length.as_secs(),
            "clean": self.is_clean(),
            "faults": self.faults,
            "accepted": self.accepted,
            "refused": self.refused,
            "unanswered": self.unanswered,
            "duplicates": self.duplicates,
            "decisions": verdict.decisions,
            "delivered": verdict.delivered,
            "undeliverable": verdict.undeliverable,
            "dead_letters": verdict.letters,
            "window_over": verdict.window_over,
            "told_twice": verdict.told_twice,
            "undeliverable_yet_told": verdict.told_all_the_same,
            "unaccounted": verdict.unaccounted,
            "double_decisions": verdict.double_decisions,
            "late_decisions": verdict.late_decisions,
            "longest_recovery_ms": self.recovery.as_ref().map(|(longest, _)| longest.as_millis()),
            "processes": self.complaints,
            "violations": violations.collect::<Vec<_>>(),
            "logs": self.logs,
        })
    }

    fn rows(&self) -> Vec<(String, String)> {
        let verdict = &self.verdict;
        let row = |label: &str, value: usize| (label.to_owned(), value.to_string());
        let mut rows = vec![row("faults injected", self.faults.values().sum())];
        rows.extend(self.faults.iter().map(|(fault, count)| row(&format!("  {fault}"), *count)));
        rows.push(row("accepted (202, or confirmed)", self.accepted));
        rows.extend(verdict.decisions.iter().map(|(status, count)| row(&format!("  {status}"), *count)));
        rows.push(row("delivered more than once by us", self.duplicates));
        rows.extend(
            self.refused.iter().map(|(status, count)| row(&format!("refused with {status}"), *count)),
        );
        rows.push(row("without an answer", self.unanswered));
        rows.push(row("delivered", verdict.delivered));
        rows.push(row("undeliverable", verdict.undeliverable));
        rows.push(row("  yet a host accepted it", verdict.told_all_the_same));
        rows.push(row("dead letters", verdict.letters.values().sum()));
        rows.extend(verdict.letters.iter().map(|(reason, count)| row(&format!("  {reason}"), *count)));
        rows.push(row("healthy host, window over", verdict.window_over));
        rows.push(row("told twice", verdict.told_twice));
        if let Some((longest, fault)) = &self.recovery {
            let value = format!("{:.1} s ({fault})", longest.as_secs_f64());
            rows.push(("longest from a fault's end to a callback".to_owned(), value));
        }
        rows.push(row("unaccounted for", verdict.unaccounted));
        rows.push(row("with two decisions", verdict.double_decisions));
        rows.push(row("decided too late", verdict.late_decisions));
        rows.push(row("violations", verdict.violations.len() + self.complaints.len()));
        rows
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seed, seconds) = (self.seed, self.length.as_secs());
        writeln!(f, "chaos: {seconds} s, again with: make chaos SEED={seed} SECONDS={seconds}")?;
        for (label, value) in self.rows() {
            writeln!(f, "  {label:<42} {value:>8}")?;
        }
        for complaint in &self.complaints {
            writeln!(f, "VIOLATION {complaint}")?;
        }
        for violation in self.verdict.violations.iter().take(VIOLATIONS_SHOWN) {
            writeln!(f, "VIOLATION {} {}\n  {}", violation.request, violation.what, violation.seen)?;
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
