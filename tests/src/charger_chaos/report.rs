//! The result of a run, as a text table and as JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::chargers::oracle::Findings;

const VIOLATIONS_SHOWN: usize = 20;

/// The result of a run.
#[derive(Debug)]
pub struct Report {
    pub(super) seed: u64,
    pub(super) length: Duration,
    pub(super) chargers: u32,
    /// How often each fault was injected.
    pub(super) faults: BTreeMap<String, usize>,
    /// The longest time from the end of a fault to the next answer to a transaction message, and which fault it was.
    pub(super) recovery: Option<(Duration, String)>,
    pub(super) findings: Findings,
    /// Unexpected events of our processes.
    pub(super) complaints: Vec<String>,
    /// Where the logs are, if they were kept.
    pub(super) logs: Option<PathBuf>,
}

impl Report {
    /// Whether nothing was violated, and there was something to check.
    pub fn is_clean(&self) -> bool {
        self.findings.violations.is_empty() && self.complaints.is_empty() && self.findings.completed > 0
    }

    /// The result as JSON.
    pub fn to_json(&self) -> Value {
        let findings = &self.findings;
        json!({
            "seed": self.seed,
            "seconds": self.length.as_secs(),
            "clean": self.is_clean(),
            "faults": self.faults,
            "chargers": findings.chargers,
            "calls_answered": findings.answers,
            "starts_answered": findings.started,
            "transactions": findings.sessions,
            "ended_by_their_stop": findings.completed,
            "without_a_stop": findings.without_stop,
            "readings": findings.readings,
            "metered_wh": findings.metered_wh,
            "recorded_wh": findings.recorded_wh,
            "longest_recovery_ms": self.recovery.as_ref().map(|(longest, _)| longest.as_millis()),
            "processes": self.complaints,
            "violations": findings.violations.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "logs": self.logs,
        })
    }

    fn rows(&self) -> Vec<(String, String)> {
        let mut rows = vec![("faults injected".to_owned(), self.faults.values().sum::<usize>().to_string())];
        rows.extend(self.faults.iter().map(|(fault, count)| (format!("  {fault}"), count.to_string())));
        rows.extend(self.findings.rows().into_iter().map(|(what, value)| (what.to_owned(), value)));
        if let Some((longest, fault)) = &self.recovery {
            let value = format!("{:.1} s ({fault})", longest.as_secs_f64());
            rows.push(("longest from a fault's end to an answer".to_owned(), value));
        }
        let violations = self.findings.violations.len() + self.complaints.len();
        rows.push(("violations".to_owned(), violations.to_string()));
        rows
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seed, seconds, chargers) = (self.seed, self.length.as_secs(), self.chargers);
        writeln!(
            f,
            "chaos: {seconds} s, again with: make chaos CHARGERS={chargers} SEED={seed} SECONDS={seconds}"
        )?;
        for (label, value) in self.rows() {
            writeln!(f, "  {label:<42} {value:>8}")?;
        }
        for complaint in &self.complaints {
            writeln!(f, "VIOLATION {complaint}")?;
        }
        for violation in self.findings.violations.iter().take(VIOLATIONS_SHOWN) {
            writeln!(f, "VIOLATION {violation}")?;
        }
        let more = self.findings.violations.len().saturating_sub(VIOLATIONS_SHOWN);
        if more > 0 {
            writeln!(f, "and {more} more violations")?;
        }
        match &self.logs {
            Some(logs) => writeln!(f, "the logs are kept in {}", logs.display()),
            None => Ok(()),
        }
    }
}
