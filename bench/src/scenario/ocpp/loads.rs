//! The loads under which our central system is compared with others: calls, sockets that are opened and held, a storm.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use simulator::load::calls::{Action, Calls};
use simulator::load::report::Report;
use simulator::load::{Booted, calls, open, storm};
use tokio::time::sleep;

use super::counters::Counters;
use super::figures::*;
use super::stage::{Central, Stage};
use super::{ASKED_TAG, KNOWN_TAG, Size};
use crate::cpu;

/// Sockets of a closed loop.
const CLOSED: u32 = 100;
/// How long sockets are held where only their memory is of interest.
const SHORT_HOLD: Duration = Duration::from_secs(3);

/// The load client's name of it.
const BOOT: &str = "handshake + boot";

/// Calls of one kind.
pub(super) struct Load {
    name: &'static str,
    action: Action,
    tag: &'static str,
    /// One call a second on each socket, instead of one after another.
    at_a_rate: bool,
    /// Whether each answer must come from a decision.
    decided: bool,
}

const fn load(name: &'static str, action: Action, tag: &'static str, at_a_rate: bool) -> Load {
    Load { name, action, tag, at_a_rate, decided: false }
}

impl Load {
    pub(super) fn name(&self) -> &'static str {
        self.name
    }
}

/// In this order.
pub(super) const LOADS: &[Load] = &[
    load(HEARTBEAT, Action::Heartbeat, KNOWN_TAG, true),
    load(STATUS, Action::StatusNotification, KNOWN_TAG, true),
    Load { decided: true, ..load(DECIDED_AT_A_RATE, Action::Authorize, ASKED_TAG, true) },
    load(HEARTBEATS, Action::Heartbeat, KNOWN_TAG, false),
    load(STATUSES, Action::StatusNotification, KNOWN_TAG, false),
    load(KNOWN, Action::Authorize, KNOWN_TAG, false),
    Load { decided: true, ..load(DECIDED, Action::Authorize, ASKED_TAG, false) },
    load(METERED, Action::MeterValues, KNOWN_TAG, false),
];

/// Calls, after a shorter time of the same that does not count.
pub(super) async fn call(
    stage: &Stage,
    central: &Central,
    load: &Load,
    size: &Size,
    book: &mut Book,
) -> Result<()> {
    let sockets = if load.at_a_rate { size.fleet() } else { CLOSED.min(size.sockets) };
    let target = central.target(sockets, load.tag, size)?;
    let per_second = load.at_a_rate.then(|| f64::from(sockets));
    let duration = Duration::from_secs_f64(size.seconds);
    let wanted = Calls { action: load.action, duration, per_second };
    let warm_up = calls::run(&target, Calls { duration: duration / 5, ..wanted }).await;
    book.check(load.name, central.server, &warm_up);
    let booted = Booted::open(&target).await;
    settle(stage, central).await;
    let parts = stage.parts(central);
    let counted = Counters::of(central).await?;
    let before = cpu::used(&parts);
    let (report, after) = tokio::join!(calls::call_all(booted, wanted), async {
        sleep(duration).await;
        cpu::used(&parts)
    });
    book.check(load.name, central.server, &report);
    let each = cpu::per_request(&before, &after, report.calls);
    let mut note = |what, value| book.note((load.name, what), central.server, value);
    note(CPU, each[central.server.name()]);
    note(RATE, report.calls_per_second);
    for (_, shown) in report.latency.iter().filter(|(what, _)| **what != BOOT) {
        note(P50, shown.p50_ms);
        note(P99, shown.p99_ms);
    }
    if let Some(counted) = counted {
        note(CPU_OF_ALL, each.values().sum());
        let grown = Counters::of(central).await?.unwrap_or_default().since(&counted);
        note(LOST, grown.lost);
        if load.decided {
            note(UNDECIDED, grown.answers - grown.decided);
        }
        book.cost(load.name, each);
    }
    Ok(())
}

/// Opens all sockets of a fresh process, and holds them.
pub(super) async fn opened(stage: &Stage, server: Server, size: &Size, book: &mut Book) -> Result<()> {
    let central = stage.central(server).await?;
    let target = central.target(size.sockets, KNOWN_TAG, size)?;
    let parts = stage.parts(&central);
    let before = cpu::used(&parts);
    let booted = Booted::open(&target).await;
    let each = cpu::per_request(&before, &cpu::used(&parts), size.sockets.into());
    let hold = if server == Server::Voltgate { Duration::from_secs_f64(size.hold) } else { SHORT_HOLD };
    let report = open::hold(booted, hold).await;
    book.check(OPEN, server, &report);
    let mut note = |what, value| book.note((OPEN, what), server, value);
    note(LATE, report.seconds - f64::from(size.sockets) / size.rate);
    if let Some(boots) = report.latency.get(BOOT) {
        note(P50, boots.p50_ms);
        note(P99, boots.p99_ms);
    }
    if let Some(used) = &report.server {
        note(CPU, used.cpu_us_each);
        note(MEMORY, used.kb_a_socket);
    }
    if server == Server::Voltgate {
        note(CPU_OF_ALL, each.values().sum());
        if let Some(idle) = report.notes.get("idle CPU in % of a core") {
            note(IDLE, *idle);
        }
        book.cost(OPEN, each);
        stage.quiet().await;
    }
    Ok(())
}

/// Cuts all sockets, which come back at once.
pub(super) async fn stormed(stage: &Stage, central: &Central, size: &Size, book: &mut Book) -> Result<()> {
    let report = storm::run(&central.target(size.storm(), KNOWN_TAG, size)?, 2).await;
    book.check(STORM, central.server, &report);
    let mut note = |what, value| book.note((STORM, what), central.server, value);
    note(LAST, report.seconds);
    if let Some(used) = &report.server {
        note(CPU, used.cpu_us_each);
    }
    if let Some(left) = report.notes.get("kB more than before, all closed") {
        note(LEFT, *left);
    }
    settle(stage, central).await;
    Ok(())
}

/// Only ours goes on working when its chargers are silent.
pub(super) async fn settle(stage: &Stage, central: &Central) {
    if central.server == Server::Voltgate {
        stage.quiet().await;
    }
}

impl Book {
    /// Notes what each process of ours has used.
    fn cost(&mut self, load: &'static str, each: BTreeMap<String, f64>) {
        for (part, us) in each {
            self.costs.entry(load).or_default().entry(part).or_default().push(us);
        }
    }

    /// Notes what went wrong.
    pub(super) fn check(&mut self, load: &str, server: Server, report: &Report) {
        if !report.is_good() {
            let all = report.errors.iter().chain(&report.violations);
            let all: Vec<String> = all.map(|(kind, count)| format!("{count} × {kind}")).collect();
            let (doubled, unanswered) = (report.doubled.len(), report.unanswered);
            self.faults.push(format!(
                "{load}, {}: {}; {doubled} ids answered twice, {unanswered} transaction messages unanswered",
                server.name(),
                all.join(", ")
            ));
        }
    }
}
