//! `calls`: CALLs on many sockets, one after another in a closed loop, or at a rate in an open one.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::process::Usage;
use super::report::{Latency, Report};
pub use super::socket::Action;
use super::socket::Socket;
use super::{Booted, Counts, Target};
use crate::clock::Clock;

/// What is called.
#[derive(Debug, Clone, Copy)]
pub struct Calls {
    /// The message.
    pub action: Action,
    /// How long.
    pub duration: Duration,
    /// Calls a second over all sockets; `None` is a closed loop, where each socket calls again once it is answered.
    pub per_second: Option<f64>,
}

/// The calls of one socket.
#[derive(Default)]
struct Done {
    latency: Latency,
    answered: u64,
    errors: Counts,
    violations: Counts,
}

/// Opens the sockets, then calls.
pub async fn run(target: &Target, calls: Calls) -> Report {
    call_all(Booted::open(target).await, calls).await
}

/// Calls on sockets that are open, and closes them. Latencies count from when a call was due, so that a server that stalls is
/// not forgiven the calls that it delayed.
pub async fn call_all(chargers: Booted, calls: Calls) -> Report {
    let Booted { target, fleet: opened, mut report, .. } = chargers;
    let sockets = opened.sockets.len() as u32;
    let before = Usage::of(target.pid);
    let began = Instant::now();
    let mut calling = JoinSet::new();
    for (place, (_, socket)) in (0_u32..).zip(opened.sockets) {
        let every = calls.per_second.map(|rate| Duration::from_secs_f64(f64::from(sockets) / rate));
        let first = began + every.unwrap_or_default().mul_f64(f64::from(place) / f64::from(sockets.max(1)));
        calling.spawn(call(socket, target.tag.clone(), calls, first, every));
    }
    sleep(calls.duration).await;
    let after = Usage::of(target.pid);
    let mut latency = Latency::default();
    while let Some(done) = calling.join_next().await {
        match done {
            Ok(done) => {
                latency.add(&done.latency);
                report.calls += done.answered;
                report.add(&done.errors, &done.violations);
            }
            Err(panicked) => report.error(panicked.to_string()),
        }
    }
    report.took(began.elapsed());
    report.server(before, after, report.calls);
    report.latency(if calls.per_second.is_some() { "from when due" } else { "closed loop" }, &latency);
    report
}

async fn call(
    mut socket: Socket,
    tag: String,
    calls: Calls,
    first: Instant,
    every: Option<Duration>,
) -> Done {
    let mut done = Done::default();
    let (clock, end) = (Clock::right(first), first + calls.duration);
    let mut due = first;
    let ended = loop {
        if due > Instant::now()
            && let Err(failure) = socket.hold(due.min(end)).await
        {
            break Some(failure);
        }
        if due.max(Instant::now()) >= end {
            break None;
        }
        let now = Instant::now();
        let wh = i64::try_from(done.answered).unwrap_or(i64::MAX);
        let message = calls.action.message(&tag, clock.text(now), wh);
        let failed = socket.call(message.action(), &message.to_json()).await.err();
        match failed {
            None => {
                done.answered += 1;
                done.latency.record(due.elapsed());
            }
            Some(failure) if failure.is_end() => break Some(failure),
            Some(failure) => *done.errors.entry(failure.to_string()).or_default() += 1,
        }
        due = every.map_or_else(Instant::now, |every| due + every);
    };
    if let Some(failure) = ended {
        *done.errors.entry(failure.to_string()).or_default() += 1;
    }
    done.violations = std::mem::take(&mut socket.violations);
    socket.close().await;
    done
}
