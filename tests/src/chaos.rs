//! The fault suite: a whole system under load, faults from a seed, and an oracle that accounts for every `202` by its
//! callbacks, its record and its dead letters.

mod evidence;
mod fault;
pub(crate) mod injection;
mod oracle;
pub(crate) mod progress;
mod report;
mod system;
mod traffic;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::callback_host::CallbackHost;
use crate::eventually;
use crate::stage::OwnServers;
use evidence::Evidence;
use fault::{Planned, schedule};
use progress::Progress;
pub use report::Report;
use system::System;
use traffic::{Duplicates, Hosts, clients, flip_drivers};

/// With more faults at once, no process would be left to do the work.
const AT_ONCE: usize = 2;

/// Without a fault, the system delivers a callback sooner than this.
const WORKS_WITHIN: Duration = Duration::from_secs(45);

/// The parameters of a run.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Determines the schedule of faults and the choices of the clients.
    pub seed: u64,
    /// How long faults are injected.
    pub length: Duration,
    /// Approximate requests per second.
    pub rate: u32,
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
    let hosts = Arc::new(Hosts::start().await);
    let progress = Progress::start(plan.seed, plan.length, plan.progress);
    let mut background = JoinSet::new();
    background.spawn(flip_drivers(system.deployment.clone(), plan.seed));
    let watched = Arc::clone(&system);
    background.spawn(async move { watched.watch().await });
    let load = clients(&system, &hosts, plan.seed, plan.rate);
    let duplicates = Duplicates::start(&system.deployment, &hosts, plan.seed).await;
    called_back_once_more(&system, hosts.healthy()).await;

    let past = inject_all(&system, &plan, || {
        progress.show(|| format!("{} requests accepted", load.accepted_so_far()));
    })
    .await;
    called_back_once_more(&system, hosts.healthy()).await;
    let (confirmed, published_twice) = duplicates.stop().await;
    let asked = load.stop().await;
    progress.say("the faults are over; waiting until all has come to rest");
    let accepted = [asked.accepted, confirmed].concat();
    let count = accepted.len();
    let evidence = Evidence::gather(&system, &hosts, accepted).await;
    background.shutdown().await;
    for status in asked.refused.keys().filter(|status| **status != 503) {
        system.complain(format!("public-api answered {status} to a request that is right"));
    }
    let mut report = Report {
        seed: plan.seed,
        length: plan.length,
        faults: counts(&past),
        accepted: count,
        refused: asked.refused,
        unanswered: asked.unanswered,
        duplicates: published_twice,
        verdict: oracle::judge(&evidence),
        recovery: longest_recovery(&past, hosts.healthy()),
        complaints: system.complaints.lock().map(|all| all.clone()).unwrap_or_default(),
        logs: None,
    };
    drop(system);
    if !report.is_clean() {
        report.logs = Some(keep(directory));
    }
    report
}

/// Complains of a system that delivers no more callbacks. The run is evaluated all the same.
async fn called_back_once_more(system: &System, host: &CallbackHost) {
    let before = host.count();
    let called = eventually("a callback", async || (host.count() > before).then_some(()));
    if tokio::time::timeout(WORKS_WITHIN, called).await.is_err() {
        system.complain(format!("nobody was called back for {WORKS_WITHIN:?} with nothing in the way"));
    }
}

/// Follows the schedule; returns when every fault has ended.
async fn inject_all(system: &Arc<System>, plan: &Plan, mut show: impl FnMut()) -> Vec<Past> {
    let began = tokio::time::Instant::now();
    let free = Arc::new(Semaphore::new(AT_ONCE));
    let (mut running, mut past) = (JoinSet::new(), Vec::new());
    for fault in schedule(plan.seed, plan.length) {
        while began.elapsed() < fault.at {
            show();
            tokio::time::sleep_until((began + fault.at).min(tokio::time::Instant::now() + progress::EVERY))
                .await;
        }
        let place = Arc::clone(&free).acquire_owned().await.expect("it is never closed");
        if began.elapsed() > plan.length {
            break;
        }
        let system = Arc::clone(system);
        running.spawn(async move {
            let _place = place;
            befall(&system, fault).await
        });
    }
    while let Some(ended) = running.join_next().await {
        past.push(ended.expect("befall catches what happens"));
    }
    past
}

async fn befall(system: &Arc<System>, fault: Planned) -> Past {
    let _turn = system.turn(fault.part()).lock().await;
    let doing = {
        let system = Arc::clone(system);
        tokio::spawn(async move { injection::inject(&system, &fault).await })
    };
    if let Err(error) = doing.await {
        system.complain(format!("{}: {error}", fault.kind));
    }
    Past { name: fault.kind.to_string(), ended: Instant::now() }
}

fn counts(past: &[Past]) -> BTreeMap<String, usize> {
    past.iter().fold(BTreeMap::new(), |mut counts, fault| {
        *counts.entry(fault.name.clone()).or_default() += 1;
        counts
    })
}

/// The longest time from the end of a fault to the next callback, with the name of the fault.
fn longest_recovery(past: &[Past], healthy: &CallbackHost) -> Option<(Duration, String)> {
    let mut called: Vec<Instant> = healthy.received().iter().map(|callback| callback.at).collect();
    called.sort_unstable();
    let recoveries = past.iter().filter_map(|fault| {
        let next = called.partition_point(|at| *at < fault.ended);
        Some((*called.get(next)? - fault.ended, fault.name.clone()))
    });
    recoveries.max()
}

/// Keeps the logs only.
fn keep(directory: TempDir) -> std::path::PathBuf {
    let kept = directory.keep();
    for server in ["rabbitmq", "redis"] {
        let _ = std::fs::remove_dir_all(kept.join(server).join("data"));
    }
    kept
}
