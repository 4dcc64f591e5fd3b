//! What the tests of the whole system are made of: the run's servers, our processes, callback hosts, and waiting.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that cannot be set up shall fail loudly"
)]

pub mod callback_host;
pub mod deployment;
pub mod process;
pub mod servers;

use std::time::{Duration, Instant};

/// How long a test waits for a state. Much longer than it takes, because CI machines stand still at times.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `state` gives something; fails with `what` when it never does.
pub async fn eventually<T>(what: &str, mut state: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = state().await {
            return value;
        }
        assert!(began.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
