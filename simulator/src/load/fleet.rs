//! Sockets that are opened at a rate.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::Target;
use super::report::{Latency, Report};
use super::socket::Socket;

/// The sockets that booted, each with its number.
pub(super) struct Fleet {
    pub(super) sockets: Vec<(u32, Socket)>,
    /// From the first that was due to the last answered boot.
    pub(super) took: Duration,
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
