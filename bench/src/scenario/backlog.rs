//! Whether the length of the queue affects a worker: its throughput and its memory with
//! few and with many waiting tasks.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use load_generator::{Drivers, Pace, Plan};
use serde::Serialize;

use crate::cpu;
use crate::servers::Servers;
use crate::system::voltgate::{Form, services};
use crate::throughput::run;

/// The result of a worker with this backlog.
#[derive(Debug, Clone, Serialize)]
pub struct Backlog {
    /// Number of waiting tasks at the start.
    pub waiting: u64,
    /// Requests called back per second.
    pub per_second: f64,
    /// CPU microseconds per request, by component, to show which one became more expensive.
    pub cpu_us: BTreeMap<String, f64>,
    /// The peak memory of the worker, in MiB.
    pub worker_mib: f64,
    /// Number of records at the end, which equals the number of accepted requests.
    pub records: u64,
}

/// Pause between checks. After a million requests RabbitMQ moves its log into segments and Redis rewrites its own. That
/// is the cost of filling the queue, not of processing it.
const REST: Duration = Duration::from_secs(2);
const NO_LONGER_THAN: Duration = Duration::from_secs(180);
/// Share of one core.
const IDLE: f64 = 0.15;

/// Lets `waiting` requests wait, then starts a worker and sends more as fast as it works. In the end every accepted
/// request must be on record.
///
/// # Errors
/// Returns an error if a request was refused or lost.
pub async fn backlog(
    servers: &Servers,
    waiting: u64,
    in_flight: usize,
    measured: Duration,
) -> Result<Backlog> {
    let patient = vec![("AUTHORIZATION_TIMEOUT_SEC", "3600".to_owned())];
    let mut system = services(servers, &Form { settings: patient, ..Form::default() }).await?;
    let session = system.session(Drivers::default(), 1).await?;
    let plan = Plan {
        pace: Pace::Unheeded(64),
        connections: 64,
        duration: Duration::from_secs(1800),
        requests: Some(waiting),
        patience: Duration::ZERO,
    };
    let (session, filled) = run(session, plan).await?;
    let accepted = filled.requests.len() as u64;
    if accepted != waiting {
        bail!("of {waiting} requests {accepted} were accepted: {}", filled.faults);
    }
    drop(filled);
    at_rest(&system.parts()).await;
    system.start_worker(servers).await?;
    let closed =
        Plan { pace: Pace::InFlight(in_flight), connections: in_flight.min(64), requests: None, ..plan };
    let (session, warm) = run(session, Plan { duration: measured / 4, ..closed }).await?;
    let parts = system.parts();
    let before = cpu::used(&parts);
    let running = tokio::task::spawn_blocking(move || {
        let mut last = None;
        // The callbacks that now arrive belong to requests that waited long; those count, not the requests sent now.
        let outcome = session.run(&Plan { duration: measured, ..closed }, |progress| last = Some(progress));
        outcome.map(|outcome| (session, outcome, last))
    });
    // The session is kept, and the sink with it, so that the requests that still wait are called back too.
    let (_session, outcome, last) = running.await??;
    let per_second = last.map_or(0.0, |last| last.called_back as f64 / last.elapsed.as_secs_f64());
    let cpu_us = cpu::per_request(&before, &cpu::used(&parts), last.map_or(0, |last| last.called_back));
    let accepted = accepted + (warm.requests.len() + outcome.requests.len()) as u64;
    let records = servers.records_once(accepted, Duration::from_secs(1800)).await?;
    if records != accepted {
        bail!("{accepted} requests were accepted and {records} are on record");
    }
    let worker_mib = cpu::peak_memory(&parts).remove("worker").unwrap_or_default();
    Ok(Backlog { waiting, per_second, cpu_us, worker_mib, records })
}

/// Waits until all parts are almost idle.
async fn at_rest(parts: &[(String, cpu::Part)]) {
    let began = Instant::now();
    let mut before: Duration = cpu::used(parts).values().sum();
    while began.elapsed() < NO_LONGER_THAN {
        tokio::time::sleep(REST).await;
        let now: Duration = cpu::used(parts).values().sum();
        if now.saturating_sub(before).as_secs_f64() < IDLE * REST.as_secs_f64() {
            return;
        }
        before = now;
    }
}
