//! The targets, as ratios to what other servers needed in the same run.

use std::fmt;

use serde::Serialize;

use super::figures::*;

/// A figure of ours, and what it may be at most or must be at least.
struct Target {
    what: &'static str,
    key: Key,
    limits: &'static [Limit],
    /// Beyond these it is no use.
    refused: &'static [Limit],
}

/// `times` the base, and `plus`.
struct Limit {
    most: bool,
    times: f64,
    base: Option<(Server, Key)>,
    plus: f64,
}

/// What became of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is kept.
    Ok,
    /// It is not kept.
    Misses,
    /// It is so far off that it would be refused.
    Refused,
    /// Its figure, or what it is compared with, was not measured.
    Unknown,
}

/// A target, as it is reported.
#[derive(Debug, Clone, Serialize)]
pub struct Judged {
    /// The target.
    pub what: &'static str,
    /// The figure of ours.
    pub value: Option<f64>,
    /// The limits in words, with their values in this run.
    pub limits: Vec<String>,
    /// The figure as a multiple of what the limits compare it with.
    pub ratios: Vec<f64>,
    /// The verdict.
    pub verdict: Verdict,
}

const fn at_most(limit: f64) -> Limit {
    Limit { most: true, times: 0.0, base: None, plus: limit }
}

const fn times(times: f64, server: Server, key: Key, plus: f64) -> Limit {
    Limit { most: true, times, base: Some((server, key)), plus }
}

const fn at_least(times: f64, server: Server, key: Key) -> Limit {
    Limit { most: false, times, base: Some((server, key)), plus: 0.0 }
}

use Server::{Ceiling, OcppRpc, Voltgate};

const TARGETS: &[Target] = &[
    Target {
        what: "CPU of a Heartbeat at the rate of a fleet",
        key: (HEARTBEAT, CPU),
        limits: &[times(1.7, Ceiling, (HEARTBEAT, CPU), 0.0), times(0.5, OcppRpc, (HEARTBEAT, CPU), 0.0)],
        refused: &[times(1.0, OcppRpc, (HEARTBEAT, CPU), 0.0)],
    },
    Target {
        what: "CPU of a StatusNotification at the rate of a fleet",
        key: (STATUS, CPU),
        limits: &[times(1.7, Ceiling, (STATUS, CPU), 0.0), times(0.5, OcppRpc, (STATUS, CPU), 0.0)],
        refused: &[times(1.0, OcppRpc, (STATUS, CPU), 0.0)],
    },
    Target {
        what: "raw messages that were not kept, Heartbeat at the rate of a fleet",
        key: (HEARTBEAT, LOST),
        limits: &[at_most(0.0)],
        refused: &[],
    },
    Target {
        what: "CPU of an Authorize with a known answer",
        key: (KNOWN, CPU),
        limits: &[times(3.0, Ceiling, (KNOWN, CPU), 0.0), times(0.5, OcppRpc, (KNOWN, CPU), 0.0)],
        refused: &[times(1.0, OcppRpc, (KNOWN, CPU), 0.0)],
    },
    Target {
        what: "CPU of an Authorize by the pipeline, the gateway's share",
        key: (DECIDED, CPU),
        limits: &[times(6.0, Ceiling, (DECIDED, CPU), 0.0)],
        refused: &[],
    },
    Target {
        what: "CPU of an Authorize by the pipeline, all processes",
        key: (DECIDED, CPU_OF_ALL),
        limits: &[times(1.2, Voltgate, (HTTP, CPU_OF_ALL), 0.0)],
        refused: &[times(1.5, Voltgate, (HTTP, CPU_OF_ALL), 0.0)],
    },
    Target {
        what: "p99 of an Authorize by the pipeline at the rate of a fleet, ms",
        key: (DECIDED_AT_A_RATE, P99),
        limits: &[times(1.0, Ceiling, (DECIDED_AT_A_RATE, P99), 50.0)],
        refused: &[times(1.0, Ceiling, (DECIDED_AT_A_RATE, P99), 200.0)],
    },
    Target {
        what: "Authorize by the pipeline at the rate of a fleet that no decision answered",
        key: (DECIDED_AT_A_RATE, UNDECIDED),
        limits: &[at_most(0.0)],
        refused: &[],
    },
    Target {
        what: "memory of an idle socket, kB",
        key: (OPEN, MEMORY),
        limits: &[times(1.3, Ceiling, (OPEN, MEMORY), 0.0)],
        refused: &[times(1.5, Ceiling, (OPEN, MEMORY), 0.0)],
    },
    Target {
        what: "all sockets open in the time asked for, s late",
        key: (OPEN, LATE),
        limits: &[at_most(0.2)],
        refused: &[],
    },
    Target {
        what: "CPU of a handshake and boot",
        key: (OPEN, CPU),
        limits: &[times(2.0, Ceiling, (OPEN, CPU), 0.0)],
        refused: &[times(1.0, OcppRpc, (OPEN, CPU), 0.0)],
    },
    Target {
        what: "idle CPU, % of a core",
        key: (OPEN, IDLE),
        limits: &[at_most(2.0)],
        refused: &[at_most(5.0)],
    },
    Target {
        what: "storm: last boot, s",
        key: (STORM, LAST),
        limits: &[times(0.5, OcppRpc, (STORM, LAST), 0.0)],
        refused: &[times(1.0, OcppRpc, (STORM, LAST), 0.0)],
    },
    Target {
        what: "storm: CPU of a socket",
        key: (STORM, CPU),
        limits: &[times(3.0, Ceiling, (STORM, CPU), 0.0)],
        refused: &[times(1.0, OcppRpc, (STORM, CPU), 0.0)],
    },
    Target {
        what: "CPU of MeterValues, without the database's",
        key: (METERED, CPU),
        limits: &[times(4.0, Ceiling, (METERED, CPU), 0.0)],
        refused: &[],
    },
    Target {
        what: "MeterValues a second",
        key: (METERED, RATE),
        limits: &[at_least(0.5, OcppRpc, (METERED, RATE))],
        refused: &[at_least(0.25, OcppRpc, (METERED, RATE))],
    },
    Target {
        what: "p99 of a StartTransaction, ms (the base is the median of an fsync)",
        key: (STARTS, P99),
        limits: &[times(3.0, Voltgate, (DISK, P50), 10.0)],
        refused: &[times(10.0, Voltgate, (DISK, P50), 10.0)],
    },
    Target {
        what: "answers while the ACL hangs, p99 ms (deadline 2,500)",
        key: (HUNG, P99),
        limits: &[at_most(2_600.0)],
        refused: &[at_most(3_000.0)],
    },
    Target {
        what: "Heartbeats while the ACL hangs, p99 ms",
        key: (HUNG, OTHERS_P99),
        limits: &[times(1.1, Voltgate, (BEFORE, OTHERS_P99), 0.0)],
        refused: &[times(1.5, Voltgate, (BEFORE, OTHERS_P99), 0.0)],
    },
    Target {
        what: "commands over REST: p99 from REST to CALL, ms",
        key: (COMMANDS, P99),
        limits: &[at_most(100.0)],
        refused: &[at_most(500.0)],
    },
    Target {
        what: "soak: RSS of the last quarter / second quarter",
        key: (SOAK, GROWTH),
        limits: &[at_most(1.02)],
        refused: &[at_most(1.05)],
    },
];

/// Compares the medians with the targets.
pub(super) fn judge(book: &Book) -> Vec<Judged> {
    TARGETS.iter().map(|target| target.judge(book)).collect()
}

impl Target {
    fn judge(&self, book: &Book) -> Judged {
        let value = book.median(self.key, Server::Voltgate);
        let known: Vec<(&Limit, f64)> =
            self.limits.iter().filter_map(|limit| Some((limit, limit.value(book)?))).collect();
        let exceeds = |limits: &[Limit], value: f64| {
            limits.iter().any(|limit| limit.value(book).is_some_and(|bound| !limit.is_kept(value, bound)))
        };
        let verdict = match value {
            None => Verdict::Unknown,
            Some(_) if known.is_empty() => Verdict::Unknown,
            Some(value) if exceeds(self.refused, value) => Verdict::Refused,
            Some(value) if exceeds(self.limits, value) => Verdict::Misses,
            Some(_) => Verdict::Ok,
        };
        let ratio = |limit: &Limit| Some(value? / book.median(limit.base?.1, limit.base?.0)?);
        Judged {
            what: self.what,
            value,
            limits: known.iter().map(|(limit, bound)| format!("{limit} = {bound:.1}")).collect(),
            ratios: self.limits.iter().filter_map(ratio).filter(|ratio| ratio.is_finite()).collect(),
            verdict,
        }
    }
}

impl Limit {
    fn value(&self, book: &Book) -> Option<f64> {
        match self.base {
            None => Some(self.plus),
            Some((server, key)) => Some(self.times * book.median(key, server)? + self.plus),
        }
    }

    fn is_kept(&self, value: f64, bound: f64) -> bool {
        if self.most { value <= bound } else { value >= bound }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", if self.most { "≤" } else { "≥" })?;
        let Some((server, key)) = self.base else { return write!(f, " fixed") };
        let name = if server == Server::Voltgate { key.0 } else { server.name() };
        write!(f, " {} × {name}", self.times)?;
        if self.plus > 0.0 { write!(f, " + {}", self.plus) } else { Ok(()) }
    }
}

impl Verdict {
    /// The word in the report.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Misses => "misses",
            Self::Refused => "misses by far",
            Self::Unknown => "not measured",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(ours: f64, ceiling: f64, peer: Option<f64>) -> Verdict {
        let mut book = Book::default();
        book.note((KNOWN, CPU), Server::Voltgate, ours);
        book.note((KNOWN, CPU), Server::Ceiling, ceiling);
        if let Some(peer) = peer {
            book.note((KNOWN, CPU), Server::OcppRpc, peer);
        }
        let target = TARGETS.iter().find(|target| target.key == (KNOWN, CPU)).unwrap();
        target.judge(&book).verdict
    }

    #[test]
    fn a_target_is_judged_by_what_others_needed_in_the_same_run() {
        assert_eq!(verdict(9.0, 3.0, Some(20.0)), Verdict::Ok);
        assert_eq!(verdict(9.1, 3.0, Some(20.0)), Verdict::Misses);
        assert_eq!(verdict(9.0, 3.0, Some(17.0)), Verdict::Misses);
        assert_eq!(verdict(21.0, 30.0, Some(20.0)), Verdict::Refused);
        assert_eq!(verdict(9.0, 3.0, None), Verdict::Ok);
        let nothing = judge(&Book::default());
        assert!(nothing.iter().all(|judged| judged.verdict == Verdict::Unknown), "{nothing:?}");
    }
}
