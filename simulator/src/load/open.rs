//! `open`: how much a socket costs, and whether all of them live after a while.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::process::Usage;
use super::report::{Latency, Report};
use super::{Booted, Target};

/// Memory is read this long after the last boot.
const SETTLE: Duration = Duration::from_secs(2);

/// Opens the sockets, holds them, asks each for a Heartbeat, and closes them.
pub async fn run(target: &Target, hold: Duration) -> Report {
    self::hold(Booted::open(target).await, hold).await
}

/// Holds sockets that are open, asks each for a Heartbeat, and closes them.
pub async fn hold(chargers: Booted, hold: Duration) -> Report {
    let Booted { target, fleet: opened, mut report, before, after: booted } = chargers;
    report.calls = report.sockets;
    report.took(opened.took);
    let end = Instant::now() + hold.max(SETTLE);
    let mut holding = JoinSet::new();
    for (_, mut socket) in opened.sockets {
        holding.spawn(async move {
            let held = socket.hold(end).await;
            let asked = Instant::now();
            let failed = match held {
                Ok(()) => socket.call("Heartbeat", "{}").await.err(),
                Err(failure) => Some(failure),
            };
            let took = asked.elapsed();
            let violations = std::mem::take(&mut socket.violations);
            socket.close().await;
            (failed, took, violations)
        });
    }
    sleep(SETTLE).await;
    let settled = Usage::of(target.pid);
    report.server(
        before,
        settled.zip(booted).map(|(settled, booted)| Usage { cpu: booted.cpu, ..settled }),
        report.sockets,
    );
    tokio::time::sleep_until(end).await;
    if let (Some(settled), Some(held)) = (settled, Usage::of(target.pid)) {
        let seconds = hold.saturating_sub(SETTLE).as_secs_f64();
        if seconds > 0.0 {
            let share = held.cpu.saturating_sub(settled.cpu).as_secs_f64() * 100.0 / seconds;
            report.notes.insert("idle CPU in % of a core", share);
        }
    }
    let mut heartbeats = Latency::default();
    while let Some(held) = holding.join_next().await {
        match held {
            Ok((failed, took, violations)) => {
                report.add(&super::Counts::new(), &violations);
                match failed {
                    None => heartbeats.record(took),
                    Some(failure) => report.error(format!("after the hold: {failure}")),
                }
            }
            Err(panicked) => report.error(panicked.to_string()),
        }
    }
    report.latency("Heartbeat at the end", &heartbeats);
    report
}
