//! What a run measured.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::process::Usage;

/// Latencies in microseconds, up to an hour, with three digits.
#[derive(Debug, Clone)]
pub struct Latency(Histogram<u64>);

impl Default for Latency {
    fn default() -> Self {
        // Three digits are always possible.
        let histogram = Histogram::new_with_max(3_600_000_000, 3);
        Self(histogram.unwrap_or_else(|_| unreachable!("the bounds of the histogram are constants")))
    }
}

impl Latency {
    /// Records one.
    pub fn record(&mut self, took: Duration) {
        self.0.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// Records all of another.
    pub fn add(&mut self, other: &Self) {
        // Both have the same bounds.
        let _ = self.0.add(&other.0);
    }

    /// The percentiles; `None` if nothing was recorded.
    #[must_use]
    pub fn percentiles(&self) -> Option<Percentiles> {
        let at = |quantile| self.0.value_at_quantile(quantile) as f64 / 1000.0;
        (!self.0.is_empty()).then(|| Percentiles {
            count: self.0.len(),
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: self.0.max() as f64 / 1000.0,
        })
    }
}

/// Latencies by percentile, in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Percentiles {
    pub count: u64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    pub max_ms: f64,
}

/// A start that the central system has answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Start {
    /// The charger.
    pub charger: String,
    /// The id that was answered.
    pub transaction_id: i64,
    /// The register at the stop in Wh, once the stop was answered.
    pub meter_stop: Option<i64>,
}

/// What the process of the central system used.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Server {
    /// CPU time in seconds during what was measured.
    pub cpu_seconds: f64,
    /// The same, in microseconds a call or socket.
    pub cpu_us_each: f64,
    /// Resident memory in kB before.
    pub rss_kb_before: u64,
    /// Resident memory in kB afterwards.
    pub rss_kb_after: u64,
    /// The growth in kB a socket.
    pub kb_a_socket: f64,
}

/// The report of a run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Sockets that were open.
    pub sockets: u64,
    /// CALLs that were answered.
    pub calls: u64,
    /// The seconds of what was measured.
    pub seconds: f64,
    /// Answered CALLs a second.
    pub calls_per_second: f64,
    /// Latencies by what was measured.
    pub latency: BTreeMap<&'static str, Percentiles>,
    /// Errors by kind.
    pub errors: BTreeMap<String, u64>,
    /// Rules that the central system broke, by rule.
    pub violations: BTreeMap<String, u64>,
    /// The process of the central system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Server>,
    /// The starts that were answered, to compare with what the central system has on record.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub starts: Vec<Start>,
    /// Ids that were answered to more than one start.
    pub doubled: Vec<i64>,
    /// Transaction messages that were still unanswered at the end.
    pub unanswered: u64,
    /// Further figures.
    pub notes: BTreeMap<&'static str, f64>,
}

impl Report {
    /// Whether no call failed and the central system broke no rule.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.errors.is_empty()
            && self.violations.is_empty()
            && self.doubled.is_empty()
            && self.unanswered == 0
    }

    pub(super) fn error(&mut self, kind: String) {
        *self.errors.entry(kind).or_default() += 1;
    }

    pub(super) fn add(&mut self, errors: &BTreeMap<String, u64>, violations: &BTreeMap<String, u64>) {
        for (all, some) in [(&mut self.errors, errors), (&mut self.violations, violations)] {
            for (kind, count) in some {
                *all.entry(kind.clone()).or_default() += count;
            }
        }
    }

    pub(super) fn latency(&mut self, what: &'static str, latency: &Latency) {
        if let Some(percentiles) = latency.percentiles() {
            self.latency.insert(what, percentiles);
        }
    }

    pub(super) fn took(&mut self, took: Duration) {
        self.seconds = took.as_secs_f64();
        self.calls_per_second = self.calls as f64 / self.seconds.max(f64::EPSILON);
    }

    /// What the server used between two moments, for this number of calls or sockets.
    pub(super) fn server(&mut self, before: Option<Usage>, after: Option<Usage>, each: u64) {
        let (Some(before), Some(after)) = (before, after) else { return };
        let cpu = after.cpu.saturating_sub(before.cpu).as_secs_f64();
        let grown = after.rss_kb as f64 - before.rss_kb as f64;
        self.server = Some(Server {
            cpu_seconds: cpu,
            cpu_us_each: cpu * 1e6 / (each.max(1) as f64),
            rss_kb_before: before.rss_kb,
            rss_kb_after: after.rss_kb,
            kb_a_socket: grown / (self.sockets.max(1) as f64),
        });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} sockets, {} calls in {:.1} s: {:.0}/s",
            self.sockets, self.calls, self.seconds, self.calls_per_second
        )?;
        if !self.latency.is_empty() {
            writeln!(f, "{:<18}{:>9}{:>9}{:>9}{:>9}  ms", "", "p50", "p99", "p99.9", "max")?;
        }
        for (what, shown) in &self.latency {
            let Percentiles { p50_ms, p99_ms, p999_ms, max_ms, .. } = shown;
            writeln!(f, "{what:<18}{p50_ms:>9.2}{p99_ms:>9.2}{p999_ms:>9.2}{max_ms:>9.2}")?;
        }
        for (what, value) in &self.notes {
            writeln!(f, "{what}: {value:.2}")?;
        }
        if let Some(server) = &self.server {
            let Server { cpu_seconds, cpu_us_each, rss_kb_before, rss_kb_after, kb_a_socket } = server;
            writeln!(
                f,
                "central system: {cpu_seconds:.2} s CPU, {cpu_us_each:.1} µs each; {rss_kb_before} kB before, {rss_kb_after} kB after, {kb_a_socket:.1} kB a socket"
            )?;
        }
        if !self.starts.is_empty() {
            let stopped = self.starts.iter().filter(|start| start.meter_stop.is_some()).count();
            writeln!(f, "{} transactions started, {stopped} stopped", self.starts.len())?;
        }
        for (what, counts) in [("errors", &self.errors), ("violations", &self.violations)] {
            for (kind, count) in counts {
                writeln!(f, "{what}: {count} × {kind}")?;
            }
        }
        if !self.doubled.is_empty() {
            writeln!(f, "ids of more than one start: {:?}", self.doubled)?;
        }
        if self.unanswered > 0 {
            writeln!(f, "{} transaction messages have no answer", self.unanswered)?;
        }
        write!(f, "{}", if self.is_good() { "no errors" } else { "not everything went well" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_good_only_without_errors_violations_and_doubles() {
        assert!(Report::default().is_good());
        let mut report = Report::default();
        report.error("refused 404".to_owned());
        assert!(!report.is_good());
        assert!(!Report { doubled: vec![7], ..Report::default() }.is_good());
        assert!(!Report { unanswered: 1, ..Report::default() }.is_good());
    }

    #[test]
    fn percentiles_are_of_what_was_recorded() {
        let mut latency = Latency::default();
        assert_eq!(latency.percentiles(), None);
        (1..=100).for_each(|ms| latency.record(Duration::from_millis(ms)));
        let shown = latency.percentiles().unwrap();
        assert!((shown.p50_ms - 50.0).abs() < 0.1 && (shown.p99_ms - 99.0).abs() < 0.1, "{shown:?}");
    }
}
