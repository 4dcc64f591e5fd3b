//! The fault suite of chargers: gateways, servers and links fail, chargers lose their clocks and memories, while all of them
//! charge. An oracle then compares every transaction and every reading with the store.

mod fault;
mod injection;
mod report;
mod system;
mod traffic;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::chaos::progress::{self, Progress};
use crate::chargers::oracle::judge;
use crate::chargers::{Noted, online};
use crate::stage::OwnServers;
use fault::{Planned, schedule};
pub use report::Report;
use system::System;
use traffic::Traffic;

/// With more faults at once, nothing would be left to do the work.
const AT_ONCE: usize = 2;
/// A charger that is connected is shown so sooner than this, also if the node that held it was killed.
const SHOWN_WITHIN: Duration = Duration::from_secs(25);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The parameters of a run.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Determines the schedule of faults and what the drivers do.
    pub seed: u64,
    /// How long faults are injected.
    pub length: Duration,
    /// How many chargers charge.
    pub chargers: u32,
    /// Whether to print the progress on stderr.
    pub progress: bool,
}

/// A fault that has ended.
struct Past {
    name: String,
    ended: Instant,
}

/// Runs the suite.
pub async fn run(plan: Plan) -> Report {
    let servers = OwnServers::start().await;
    let addresses = servers.addresses();
    let OwnServers { broker, redis, directory } = servers;
    let system = Arc::new(System::start(broker, redis, addresses, directory.path()).await);
    let traffic = Arc::new(Traffic::start(&system, &plan).await);
    let progress = Progress::start(plan.seed, plan.length, plan.progress);
    let watched = Arc::clone(&system);
    let watching = tokio::spawn(async move { watched.watch().await });

    let past = inject_all(&system, &traffic, &plan, &progress).await;
    progress.say("the faults are over; waiting until all has come to rest");
    let mut chargers = traffic.end(&system).await;
    all_are_shown(&system, &chargers).await;
    for charger in &mut chargers {
        charger.switch_off().await;
    }
    let verdict = judge(&system.db, &chargers).await;
    watching.abort();
    let mut complaints = system.take_complaints();
    complaints.extend(panics(directory.path()));
    let mut report = Report {
        seed: plan.seed,
        length: plan.length,
        chargers: plan.chargers,
        faults: counts(&past),
        recovery: longest_recovery(&past, &chargers),
        findings: verdict.unwrap_or_else(|error| {
            complaints.push(format!("the store cannot be read: {error}"));
            Default::default()
        }),
        complaints,
        logs: None,
    };
    drop(system);
    if !report.is_clean() {
        report.logs = Some(keep(directory));
    }
    report
}

/// Follows the schedule; returns when every fault has ended.
async fn inject_all(
    system: &Arc<System>,
    traffic: &Arc<Traffic>,
    plan: &Plan,
    progress: &Progress,
) -> Vec<Past> {
    let began = tokio::time::Instant::now();
    let free = Arc::new(Semaphore::new(AT_ONCE));
    let (mut running, mut past) = (JoinSet::new(), Vec::new());
    for fault in schedule(plan.seed, plan.length) {
        while began.elapsed() < fault.at {
            progress.show(|| format!("{} sessions begun", traffic.sessions()));
            let next = tokio::time::Instant::now() + progress::EVERY;
            tokio::time::sleep_until((began + fault.at).min(next)).await;
        }
        let place = Arc::clone(&free).acquire_owned().await.expect("it is never closed");
        if began.elapsed() > plan.length {
            break;
        }
        let (system, traffic) = (Arc::clone(system), Arc::clone(traffic));
        running.spawn(async move {
            let _place = place;
            befall(&system, &traffic, fault).await
        });
    }
    while let Some(ended) = running.join_next().await {
        past.push(ended.expect("befall catches what happens"));
    }
    past
}

async fn befall(system: &Arc<System>, traffic: &Arc<Traffic>, fault: Planned) -> Past {
    let _turn = system.turn(fault.part()).lock().await;
    let doing = {
        let (system, traffic) = (Arc::clone(system), Arc::clone(traffic));
        tokio::spawn(async move { injection::inject(&system, &traffic, &fault).await })
    };
    if let Err(error) = doing.await {
        system.complain(format!("{}: {error}", fault.kind));
    }
    Past { name: fault.kind.to_string(), ended: Instant::now() }
}

/// Complains of chargers that are connected and not shown so.
async fn all_are_shown(system: &System, chargers: &[Noted]) {
    let began = Instant::now();
    loop {
        let shown = online(&system.db).await.unwrap_or_default();
        let missing = chargers.iter().filter(|charger| {
            charger.charger().situation().connected
                && !shown.iter().any(|(station, ..)| *station == charger.station)
        });
        let missing: Vec<&str> = missing.map(|charger| charger.name.as_str()).collect();
        if missing.is_empty() {
            return;
        }
        if began.elapsed() > SHOWN_WITHIN {
            return system.complain(format!("connected, and shown as offline: {missing:?}"));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn counts(past: &[Past]) -> BTreeMap<String, usize> {
    past.iter().fold(BTreeMap::new(), |mut counts, fault| {
        *counts.entry(fault.name.clone()).or_default() += 1;
        counts
    })
}

/// The longest time from the end of a fault to the next answer to a transaction message, with the name of the fault.
fn longest_recovery(past: &[Past], chargers: &[Noted]) -> Option<(Duration, String)> {
    let mut answered: Vec<Instant> = Vec::new();
    chargers.iter().for_each(|charger| answered.extend(&charger.notes().answered));
    answered.sort_unstable();
    let recoveries = past.iter().filter_map(|fault| {
        let next = answered.partition_point(|at| *at < fault.ended);
        Some((*answered.get(next)? - fault.ended, fault.name.clone()))
    });
    recoveries.max()
}

/// The logs in which a process of ours panicked.
fn panics(logs: &Path) -> Vec<String> {
    let files = std::fs::read_dir(logs).into_iter().flatten().flatten();
    let panicked = files.filter_map(|file| {
        let text = std::fs::read_to_string(file.path()).ok()?;
        let line = text.lines().find(|line| line.contains("panicked at"))?;
        Some(format!("{}: {line}", file.file_name().display()))
    });
    panicked.collect()
}

/// Keeps the logs only.
fn keep(directory: TempDir) -> std::path::PathBuf {
    let kept = directory.keep();
    for server in ["rabbitmq", "redis", "postgres"] {
        let _ = std::fs::remove_dir_all(kept.join(server).join("data"));
    }
    kept
}
