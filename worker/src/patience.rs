//! Waiting for the store: nothing may be acknowledged that was not recorded, so while it is away the work in hand waits
//! for it, and the rest stays in the queue.

use std::time::Duration;

use common::retry::RetryPolicy;
use store::StoreError;
use tokio_util::sync::CancellationToken;

const POLICY: RetryPolicy =
    RetryPolicy { first: Duration::from_millis(100), longest: Duration::from_secs(2) };

/// The worker has to leave: the task goes back to the queue.
#[derive(Debug)]
pub(crate) struct GivenUp;

/// Tries until the store does it, or until the worker has to leave.
pub(crate) async fn until_stored<T, F>(
    give_up: &CancellationToken,
    attempt: impl Fn() -> F,
) -> Result<T, GivenUp>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut failures = 0;
    loop {
        let error = match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        failures += 1;
        tracing::warn!(%error, failures, "the store did not answer; waiting for it");
        tokio::select! {
            () = tokio::time::sleep(POLICY.wait_after(failures)) => {}
            () = give_up.cancelled() => return Err(GivenUp),
        }
    }
}
