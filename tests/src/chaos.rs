//! The fault suite: a whole system under load, faults from a seed, and an oracle that accounts for every `202` by its
//! callbacks, its record and its dead letters.

mod evidence;
mod fault;
mod injection;
mod oracle;
mod report;
mod system;
mod traffic;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::callback_host::CallbackHost;
use crate::eventually;
use crate::faults::member::Staff;
use crate::faults::progress::Progress;
use crate::faults::schedule::Planned;
use crate::faults::{Stage, counts, inject_all, keep, longest_recovery};
use crate::stage::OwnServers;
use evidence::Evidence;
use fault::{Kind, Part, Service};
pub use report::Report;
use system::System;
use traffic::{Duplicates, Hosts, clients, flip_drivers};

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
    background.spawn(async move { watched.staff.watch().await });
    let load = clients(&system, &hosts, plan.seed, plan.rate);
    let duplicates = Duplicates::start(&system.deployment, &hosts, plan.seed).await;
    called_back_once_more(&system, hosts.healthy()).await;

    let past = inject_all(&system, plan.seed, plan.length, || {
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
        system.staff.complain(format!("public-api answered {status} to a request that is right"));
    }
    let called = hosts.healthy().received().iter().map(|callback| callback.at).collect();
    let mut report = Report {
        seed: plan.seed,
        length: plan.length,
        faults: counts(&past),
        accepted: count,
        refused: asked.refused,
        unanswered: asked.unanswered,
        duplicates: published_twice,
        verdict: oracle::judge(&evidence),
        recovery: longest_recovery(&past, called),
        complaints: system.staff.take_complaints(),
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
        system.staff.complain(format!("nobody was called back for {WORKS_WITHIN:?} with nothing in the way"));
    }
}

impl Stage for System {
    type Service = Service;
    type Kind = Kind;

    fn staff(&self) -> &Staff<Service, Part> {
        &self.staff
    }

    async fn inject(&self, fault: &Planned<Kind>) {
        injection::inject(self, fault).await;
    }
}
