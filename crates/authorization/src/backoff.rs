//! Waits for the store. A decision or an attempt that is not recorded must not be acknowledged, so its task waits until
//! the store is available again.

use std::time::Duration;

use service_runtime::retry::RetryPolicy;
use store::StoreError;
use tokio_util::sync::CancellationToken;

const POLICY: RetryPolicy = RetryPolicy { initial: Duration::from_millis(100), max: Duration::from_secs(2) };

/// The process is shutting down before the store was available: the task is requeued.
#[derive(Debug)]
pub struct Abandoned;

/// Retries until the store has done it, or until `shutdown` is cancelled.
///
/// # Errors
/// Returns an error if `shutdown` was cancelled first.
pub async fn retry_until_stored<T, F>(
    shutdown: &CancellationToken,
    attempt: impl Fn() -> F,
) -> Result<T, Abandoned>
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
            () = shutdown.cancelled() => return Err(Abandoned),
        }
    }
}
