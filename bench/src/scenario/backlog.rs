//! Whether a worker cares how much waits: its throughput and its memory with few and with many tasks in the queue.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use load_generator::{Drivers, Pace, Plan};
use serde::Serialize;

use crate::cpu;
use crate::servers::Servers;
use crate::system::voltgate::{Form, services};
use crate::throughput::run;

/// What a worker did with so many tasks waiting.
#[derive(Debug, Clone, Serialize)]
pub struct Backlog {
    /// How many waited when it began.
    pub waiting: u64,
    /// How many requests a second it had called back.
    pub per_second: f64,
    /// CPU microseconds a request, by component, so that what became dearer is seen.
    pub cpu_us: BTreeMap<String, f64>,
    /// The most memory that it had, in MiB.
    pub worker_mib: f64,
    /// How many records there were in the end, which is as many as were accepted.
    pub records: u64,
}

/// What is written down of a million requests is tidied up after them: RabbitMQ moves its log into segments, Redis rewrites
/// its own. That is the cost of filling the queue and not of working it off.
const REST: Duration = Duration::from_secs(2);
const NO_LONGER_THAN: Duration = Duration::from_secs(180);
/// Of one core.
const IDLE: f64 = 0.15;

/// Lets so many requests wait, then starts a worker and keeps asking as fast as it works; in the end everything that was
/// accepted has to be on record.
///
/// # Errors
/// Something was refused or lost.
pub async fn backlog(servers: &Servers, waiting: u64, in_hand: usize, measured: Duration) -> Result<Backlog> {
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
    let closed = Plan { pace: Pace::InHand(in_hand), connections: in_hand.min(64), requests: None, ..plan };
    let (session, warm) = run(session, Plan { duration: measured / 4, ..closed }).await?;
    let parts = system.parts();
    let before = cpu::used(&parts);
    let running = tokio::task::spawn_blocking(move || {
        let mut last = None;
        // What is called back now waited long before: those are counted, not those that are asked now.
        let outcome = session.run(&Plan { duration: measured, ..closed }, |progress| last = Some(progress));
        outcome.map(|outcome| (session, outcome, last))
    });
    // The session is kept, and the sink with it: what still waits is called back, too.
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

/// Waits until nobody has much to do.
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
