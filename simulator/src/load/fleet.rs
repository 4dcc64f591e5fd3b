//! Sockets that are opened at a rate.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::Target;
use super::process::Usage;
use super::report::{Latency, Report};
use super::socket::Socket;

/// The sockets that booted, each with its number.
pub(super) struct Fleet {
    pub(super) sockets: Vec<(u32, Socket)>,
    /// From the first that was due to the last answered boot.
    pub(super) took: Duration,
}

/// Chargers that have booted and wait. What they do next is measured apart from their boots.
pub struct Booted {
    pub(super) target: Target,
    pub(super) fleet: Fleet,
    pub(super) report: Report,
    /// The process of the central system, before the first socket.
    pub(super) before: Option<Usage>,
    /// The same after the last boot.
    pub(super) after: Option<Usage>,
}

impl Booted {
    /// Opens and boots all chargers at the target's rate.
    pub async fn open(target: &Target) -> Self {
        let mut report = Report::default();
        let before = Usage::of(target.pid);
        let fleet = open(target, &mut report, "handshake + boot").await;
        let after = Usage::of(target.pid);
        Self { target: target.clone(), fleet, report, before, after }
    }
}

/// Opens and boots all chargers. Latencies count from when a socket was due.
pub(super) async fn open(target: &Target, report: &mut Report, what: &'static str) -> Fleet {
    let began = Instant::now();
    let mut opening = JoinSet::new();
    for index in 0..target.chargers {
        let (dial, due) = (target.dial(index), began + target.due(index));
        opening.spawn(async move {
            sleep_until(due).await;
            let opened = Socket::open(&dial).await;
            (index, opened, due.elapsed())
        });
    }
    let (mut sockets, mut latency) = (Vec::new(), Latency::default());
    while let Some(opened) = opening.join_next().await {
        match opened {
            Ok((index, Ok(socket), took)) => {
                latency.record(took);
                sockets.push((index, socket));
            }
            Ok((_, Err(failure), _)) => report.error(failure.to_string()),
            Err(panicked) => report.error(panicked.to_string()),
        }
    }
    report.sockets = sockets.len() as u64;
    report.latency(what, &latency);
    Fleet { sockets, took: began.elapsed() }
}
