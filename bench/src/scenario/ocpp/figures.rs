//! What was measured, by load and server, as medians over the rounds.

use std::collections::BTreeMap;

use serde::Serialize;

/// A central system that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Server {
    /// ocpp-gateway, and what it needs.
    Voltgate,
    /// actix-web and actix-ws with fixed answers.
    Ceiling,
    /// npm ocpp-rpc, strict.
    OcppRpc,
    /// PyPI ocpp with websockets.
    OcppPy,
}

/// What is measured under a load: the load, and the figure.
pub(super) type Key = (&'static str, &'static str);

pub(super) const HEARTBEAT: &str = "Heartbeat, open loop";
pub(super) const STATUS: &str = "StatusNotification, open loop";
pub(super) const DECIDED_AT_A_RATE: &str = "Authorize by the pipeline, open loop";
pub(super) const HEARTBEATS: &str = "Heartbeat, closed loop";
pub(super) const STATUSES: &str = "StatusNotification, closed loop";
pub(super) const KNOWN: &str = "Authorize with a known answer, closed loop";
pub(super) const DECIDED: &str = "Authorize by the pipeline, closed loop";
pub(super) const METERED: &str = "MeterValues, closed loop";
pub(super) const HTTP: &str = "the same decision by HTTP, closed loop";
pub(super) const OPEN: &str = "open";
pub(super) const STORM: &str = "storm";
pub(super) const STARTS: &str = "sessions at a rate";
pub(super) const SESSIONS: &str = "sessions, closed loop";
pub(super) const DISK: &str = "fsync of 8 KiB, beside the sessions";
pub(super) const BEFORE: &str = "before the ACL hangs";
pub(super) const HUNG: &str = "while the ACL hangs";
pub(super) const COMMANDS: &str = "commands over REST";
pub(super) const SOAK: &str = "soak";

pub(super) const CPU: &str = "CPU µs each";
pub(super) const CPU_OF_ALL: &str = "CPU µs each, all processes";
pub(super) const RATE: &str = "calls/s";
pub(super) const P50: &str = "p50 ms";
pub(super) const P99: &str = "p99 ms";
pub(super) const OTHERS_P99: &str = "Heartbeat p99 ms";
pub(super) const STOP_P99: &str = "Stop p99 ms";
pub(super) const LOST: &str = "messages not kept";
pub(super) const UNDECIDED: &str = "answers without a decision";
pub(super) const LATE: &str = "last boot after its time, s";
pub(super) const LAST: &str = "last boot after, s";
pub(super) const MEMORY: &str = "kB a socket";
pub(super) const LEFT: &str = "kB left afterwards";
pub(super) const IDLE: &str = "idle CPU, % of a core";
pub(super) const GROWTH: &str = "RSS, last quarter / second";

/// The figures of a run.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// In the order in which they were measured.
    keys: Vec<Key>,
    values: BTreeMap<Key, BTreeMap<Server, Vec<f64>>>,
    /// The CPU time of each process of ours, in microseconds a call, by load.
    pub(super) costs: BTreeMap<&'static str, BTreeMap<String, Vec<f64>>>,
    /// What went wrong.
    pub(super) faults: Vec<String>,
}

/// A figure: the values of each server, a round each.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// The load.
    pub load: &'static str,
    /// What was measured.
    pub what: &'static str,
    /// The medians.
    pub medians: BTreeMap<Server, f64>,
    /// All of them.
    pub rounds: BTreeMap<Server, Vec<f64>>,
}

impl Book {
    pub(super) fn note(&mut self, key: Key, server: Server, value: f64) {
        if !self.values.contains_key(&key) {
            self.keys.push(key);
        }
        self.values.entry(key).or_default().entry(server).or_default().push(value);
    }

    pub(super) fn median(&self, key: Key, server: Server) -> Option<f64> {
        self.values.get(&key)?.get(&server).map(|values| median(values))
    }

    pub(super) fn figures(&self) -> Vec<Figure> {
        let figure = |key: &Key| {
            let rounds = self.values.get(key).cloned().unwrap_or_default();
            let medians = rounds.iter().map(|(server, values)| (*server, median(values))).collect();
            Figure { load: key.0, what: key.1, medians, rounds }
        };
        self.keys.iter().map(figure).collect()
    }
}

impl Server {
    /// Its name in the report.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Voltgate => "ocpp-gateway",
            Self::Ceiling => "ceiling",
            Self::OcppRpc => "ocpp-rpc",
            Self::OcppPy => "PyPI ocpp",
        }
    }
}

pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        even if even % 2 == 0 => f64::midpoint(sorted[even / 2 - 1], sorted[even / 2]),
        odd => sorted[odd / 2],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_the_median_of_its_rounds() {
        let mut book = Book::default();
        for value in [9.0, 1.0, 2.0, 4.0] {
            book.note((OPEN, CPU), Server::Voltgate, value);
        }
        assert_eq!(book.median((OPEN, CPU), Server::Voltgate), Some(3.0));
        assert_eq!(book.median((OPEN, CPU), Server::Ceiling), None);
        assert_eq!(book.figures()[0].rounds[&Server::Voltgate].len(), 4);
    }
}
