//! Building blocks for the tests of the whole system: servers, our processes and Python's, links that can be disturbed,
//! load, callback hosts, waiting.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that cannot be set up shall fail loudly"
)]

pub mod accounting;
pub mod callback_host;
pub mod chaos;
pub mod charger_chaos;
pub mod chargers;
pub mod collector;
pub mod deployment;
pub mod event_stream;
mod faults;
pub mod fleet;
pub mod link;
pub mod load;
pub mod node;
pub mod people;
pub mod platform;
pub mod process;
pub mod python;
pub mod servers;
pub mod stage;
pub mod upgrade;

use std::time::{Duration, Instant};

/// How long a test waits for a state. Much longer than it takes, because CI machines stall at times.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A port on which nothing listens now, for a setting that has to be known before the process starts.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until `state` returns a value; fails with `what` if it never does.
pub async fn eventually<T>(what: &str, mut state: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        match state().await {
            Some(value) => return value,
            None => look_again(what, began).await,
        }
    }
}

/// Sleeps a moment; fails when the wait has taken too long.
async fn look_again(what: &str, began: Instant) {
    assert!(began.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain for {what}");
    tokio::time::sleep(Duration::from_millis(20)).await;
}
