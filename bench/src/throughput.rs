//! One system under load: full load, then almost no load, then half load.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use load_generator::{
    Drivers, Faults, Latency, Outcome, Pace, Percentiles, Plan, Session, check_records, percentile_curves,
};
use serde::Serialize;

use crate::cpu::{self, Part};
use crate::servers::Servers;
use crate::system::System;

/// The duration and the load of a measurement.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Duration of the warm-up, which is not measured.
    pub warm_up: Duration,
    /// Duration of each phase.
    pub measured: Duration,
    /// Number of requests in flight at full load.
    pub in_flight: usize,
    /// Requests per second that are almost no load.
    pub unloaded_rate: f64,
    /// Number of requests that are looked up afterwards.
    pub looked_up: usize,
}

/// The result of one phase.
#[derive(Debug, Clone, Serialize)]
pub struct Load {
    /// For instance `closed, 400 in flight` or `open, 50/s`.
    pub pace: String,
    /// Number of completed requests.
    pub requests: u64,
    /// Completed requests per second.
    pub per_second: f64,
    /// From when a request was due to its 202.
    pub answer: Percentiles,
    /// From the 202 to the callback.
    pub callback: Percentiles,
    /// From when a request was due to its callback.
    pub whole: Percentiles,
    /// CPU time of each part, in microseconds per request.
    pub cpu_us: BTreeMap<String, f64>,
    /// The faults of the phase.
    pub faults: Faults,
}

/// The result of a system.
#[derive(Debug, Clone, Serialize)]
pub struct Measured {
    /// The name of the system.
    pub name: String,
    /// From the start of each process until it was ready, in milliseconds.
    pub ready_ms: BTreeMap<String, f64>,
    /// The phase at full load.
    pub peak: Load,
    /// The phase with almost no load.
    pub unloaded: Load,
    /// The phase at half load.
    pub half: Load,
    /// The peak memory of each process.
    pub memory_mib: BTreeMap<String, f64>,
    /// Number of requests that were looked up and found on record as delivered.
    pub looked_up: u64,
    /// Number of requests, and of records in Redis if the system stores them there.
    pub records: Option<(u64, u64)>,
    /// A plot of its latencies, as SVG.
    #[serde(skip)]
    pub plot: String,
}

impl Measured {
    /// All phases.
    #[must_use]
    pub fn loads(&self) -> [&Load; 3] {
        [&self.peak, &self.unloaded, &self.half]
    }

    /// The faults, one line for each phase that has any.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let bad = self.loads().into_iter().filter(|load| !load.faults.is_none());
        bad.map(|load| format!("{}, {}: {}", self.name, load.pace, load.faults)).collect()
    }
}

/// Measures a system in all three phases.
///
/// # Errors
/// Returns an error if it does not answer at all. Lost or refused requests are not errors but faults.
pub async fn measure(
    name: &str,
    system: &System,
    servers: Option<&Servers>,
    effort: &Effort,
) -> Result<Measured> {
    let (session, parts) = (system.session(Drivers::default(), 1).await?, system.parts());
    let (session, mut peak, full) = full_load(&parts, session, effort).await?;
    let plan = closed(effort);
    let unloaded = Plan { pace: Pace::Rate(effort.unloaded_rate), ..plan };
    let (session, calm, slow) = phase(&parts, session, unloaded).await?;
    let half = Plan { pace: Pace::Rate(peak.per_second / 2.0), ..unloaded };
    let (session, half, middle) = phase(&parts, session, half).await?;
    let requests: Vec<_> = [&full, &slow, &middle].map(|outcome| outcome.requests.clone()).concat();
    let checked = check_records(&session.front_door, &requests, effort.looked_up).await;
    peak.faults.unrecorded += checked.unrecorded;
    let records = match servers {
        Some(servers) => Some((requests.len() as u64, servers.records().await?)),
        None => None,
    };
    if let Some((accepted, recorded)) = records {
        peak.faults.unrecorded += accepted.abs_diff(recorded);
    }
    let curves: [(&str, &Latency); 4] = [
        ("202, unloaded", &slow.answer),
        ("202 to callback, unloaded", &slow.callback),
        ("202 to callback, half load", &middle.callback),
        ("202 to callback, full load", &full.callback),
    ];
    Ok(Measured {
        name: name.to_owned(),
        ready_ms: system.ready().into_iter().map(|(name, took)| (name, took.as_secs_f64() * 1e3)).collect(),
        plot: percentile_curves(name, &curves),
        peak,
        unloaded: calm,
        half,
        memory_mib: cpu::peak_memory(&parts),
        looked_up: checked.looked_at - checked.unrecorded,
        records,
    })
}

/// Full load after a warm-up. The outcome includes the requests and the faults of the warm-up.
///
/// # Errors
/// Returns an error if no thread can be created.
pub async fn full_load(
    parts: &[(String, Part)],
    session: Session,
    effort: &Effort,
) -> Result<(Session, Load, Outcome)> {
    let plan = closed(effort);
    let (session, warm) = run(session, Plan { duration: effort.warm_up, ..plan }).await?;
    let (session, mut load, mut outcome) = phase(parts, session, plan).await?;
    outcome.requests.extend(warm.requests);
    if !warm.faults.is_none() {
        load.faults = warm.faults;
    }
    Ok((session, load, outcome))
}

fn closed(effort: &Effort) -> Plan {
    Plan {
        pace: Pace::InFlight(effort.in_flight),
        connections: effort.in_flight.min(64),
        duration: effort.measured,
        requests: None,
        patience: Duration::from_secs(60),
    }
}

/// Runs a plan, and measures the CPU time of the parts meanwhile.
///
/// # Errors
/// Returns an error if no thread can be created.
pub async fn phase(
    parts: &[(String, Part)],
    session: Session,
    plan: Plan,
) -> Result<(Session, Load, Outcome)> {
    let before = cpu::used(parts);
    let (session, outcome) = run(session, plan).await?;
    let cpu_us = cpu::per_request(&before, &cpu::used(parts), outcome.completed);
    let load = Load {
        pace: match plan.pace {
            Pace::InFlight(count) => format!("closed, {count} in flight"),
            Pace::Unheeded(count) => format!("closed, {count} unanswered"),
            Pace::Rate(rate) => format!("open, {rate:.0}/s"),
        },
        requests: outcome.completed,
        per_second: outcome.per_second(),
        answer: outcome.answer.percentiles(),
        callback: outcome.callback.percentiles(),
        whole: outcome.whole.percentiles(),
        cpu_us,
        faults: outcome.faults.clone(),
    };
    Ok((session, load, outcome))
}

/// Runs a plan without blocking the caller's runtime.
///
/// # Errors
/// Returns an error if no thread can be created.
pub async fn run(session: Session, plan: Plan) -> Result<(Session, Outcome)> {
    let running = tokio::task::spawn_blocking(move || {
        let outcome = session.run(&plan, |_| {});
        (session, outcome)
    });
    let (session, outcome) = running.await?;
    Ok((session, outcome?))
}
