//! The fault suite of chargers: gateways, servers and links fail, chargers lose their clocks and memories, while all of them
//! charge. An oracle then compares every transaction and every reading with the store.

mod fault;
mod injection;
mod report;
mod system;
mod traffic;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::chargers::oracle::judge;
use crate::chargers::{Noted, online};
use crate::faults::member::Staff;
use crate::faults::progress::Progress;
use crate::faults::schedule::Planned;
use crate::faults::{Stage, counts, inject_all, keep, longest_recovery};
use crate::stage::OwnServers;
use fault::{Kind, Part, Service};
pub use report::Report;
use system::System;
use traffic::Traffic;

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

/// The system, and the chargers that use it.
struct Charging {
    system: System,
    traffic: Traffic,
}

impl Stage for Charging {
    type Service = Service;
    type Kind = Kind;

    fn staff(&self) -> &Staff<Service, Part> {
        &self.system.staff
    }

    async fn inject(&self, fault: &Planned<Kind>) {
        injection::inject(&self.system, &self.traffic, fault).await;
    }
}

/// Runs the suite.
pub async fn run(plan: Plan) -> Report {
    let servers = OwnServers::start().await;
    let addresses = servers.addresses();
    let OwnServers { broker, redis, directory } = servers;
    let system = System::start(broker, redis, addresses, directory.path()).await;
    let traffic = Traffic::start(&system, &plan).await;
    let stage = Arc::new(Charging { system, traffic });
    let progress = Progress::start(plan.seed, plan.length, plan.progress);
    let watched = Arc::clone(&stage);
    let watching = tokio::spawn(async move { watched.staff().watch().await });

    let past = inject_all(&stage, plan.seed, plan.length, || {
        progress.show(|| format!("{} sessions begun", stage.traffic.sessions()));
    })
    .await;
    progress.say("the faults are over; waiting until all has come to rest");
    let mut chargers = stage.traffic.end(&stage.system).await;
    all_are_shown(&stage.system, &chargers).await;
    for charger in &mut chargers {
        charger.switch_off().await;
    }
    let verdict = judge(&stage.system.db, &chargers).await;
    watching.abort();
    let mut complaints = stage.staff().take_complaints();
    complaints.extend(panics(directory.path()));
    let answered = chargers.iter().flat_map(|charger| charger.notes().answered.clone()).collect();
    let mut report = Report {
        seed: plan.seed,
        length: plan.length,
        chargers: plan.chargers,
        faults: counts(&past),
        recovery: longest_recovery(&past, answered),
        findings: verdict.unwrap_or_else(|error| {
            complaints.push(format!("the store cannot be read: {error}"));
            Default::default()
        }),
        complaints,
        logs: None,
    };
    drop(stage);
    if !report.is_clean() {
        report.logs = Some(keep(directory));
    }
    report
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
            return system.staff.complain(format!("connected, and shown as offline: {missing:?}"));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
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
