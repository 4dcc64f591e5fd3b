//! `storm`: all sockets are cut and come back at once.

use std::time::Duration;

use tokio::time::sleep;

use super::process::Usage;
use super::report::Report;
use super::{Counts, Target, fleet};

/// Memory is read this long after everything is closed.
const SETTLE: Duration = Duration::from_secs(2);

/// Opens the sockets at the target's rate; then, in each round, cuts all and opens all at once.
pub async fn run(target: &Target, rounds: u32) -> Report {
    let mut report = Report::default();
    let before = Usage::of(target.pid);
    let at_once = Target { rate: None, ..target.clone() };
    let mut fleet = fleet::open(target, &mut report, "first boot").await;
    let quiet = Usage::of(target.pid);
    let (mut slowest, mut booted) = (Duration::ZERO, 0);
    for _ in 0..rounds {
        for (_, mut socket) in std::mem::take(&mut fleet.sockets) {
            report.add(&Counts::new(), &std::mem::take(&mut socket.violations));
            socket.cut();
        }
        fleet = fleet::open(&at_once, &mut report, "storm boot").await;
        booted += fleet.sockets.len() as u64;
        slowest = slowest.max(fleet.took);
    }
    report.calls = booted;
    report.took(slowest);
    report.calls_per_second = 0.0;
    report.notes.insert("seconds until the last boot, slowest round", slowest.as_secs_f64());
    report.server(quiet, Usage::of(target.pid), booted);
    for (_, mut socket) in fleet.sockets {
        report.add(&Counts::new(), &std::mem::take(&mut socket.violations));
        socket.cut();
    }
    sleep(SETTLE).await;
    if let (Some(before), Some(after)) = (before, Usage::of(target.pid)) {
        report.notes.insert("kB more than before, all closed", after.rss_kb as f64 - before.rss_kb as f64);
    }
    report
}
