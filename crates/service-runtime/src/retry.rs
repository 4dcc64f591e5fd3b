//! The retry policy: exponential backoff with jitter. The crate `backoff` is used only here, so that it can be replaced
//! in this one file (it is no longer maintained; `deny.toml` excepts its two advisories).

use std::time::Duration;

use backoff::ExponentialBackoffBuilder;
use backoff::backoff::Backoff;

/// How the waits between attempts grow.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// The wait after the first failure, before jitter.
    pub initial: Duration,
    /// The longest wait, before jitter.
    pub max: Duration,
}

/// Whether a retry may help.
#[derive(Debug)]
pub enum RetryError<E> {
    /// A retry may help.
    Transient(E),
    /// Another attempt would end the same way.
    Permanent(E),
}

impl RetryPolicy {
    /// Runs `attempt` until it succeeds, fails permanently, or `limit` is over, and then returns the last failure.
    ///
    /// The limit bounds the waits, not an attempt: an attempt has its own time limit.
    ///
    /// # Errors
    /// Returns the error of the last attempt.
    pub async fn run<T, E, F>(&self, limit: Duration, attempt: impl Fn() -> F) -> Result<T, E>
    where
        F: Future<Output = Result<T, RetryError<E>>>,
    {
        let mut waits = self.waits(limit);
        loop {
            let error = match attempt().await {
                Ok(value) => return Ok(value),
                Err(RetryError::Permanent(error)) => return Err(error),
                Err(RetryError::Transient(error)) => error,
            };
            match waits.next_backoff() {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(error),
            }
        }
    }

    /// The wait after the `failures`-th failure in a row (from 1): exponential with full jitter, so that the callers of
    /// a recovered host do not all return at once.
    pub fn wait_after(&self, failures: u32) -> Duration {
        let doubled = self.initial.saturating_mul(2u32.saturating_pow(failures.saturating_sub(1)));
        let mut once = ExponentialBackoffBuilder::new()
            .with_initial_interval(doubled.min(self.max) / 2)
            .with_randomization_factor(1.0)
            .with_max_elapsed_time(None)
            .build();
        once.next_backoff().unwrap_or(self.max)
    }

    fn waits(&self, limit: Duration) -> impl Backoff + use<> {
        ExponentialBackoffBuilder::new()
            .with_initial_interval(self.initial)
            .with_max_interval(self.max)
            .with_multiplier(2.0)
            .with_randomization_factor(0.5)
            .with_max_elapsed_time(Some(limit))
            .build()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const POLICY: RetryPolicy =
        RetryPolicy { initial: Duration::from_millis(20), max: Duration::from_millis(200) };

    #[tokio::test]
    async fn a_transient_failure_is_tried_again_until_it_heals() {
        let tries = AtomicU32::new(0);
        let result: Result<u32, &str> = POLICY
            .run(Duration::from_secs(5), || async {
                match tries.fetch_add(1, Ordering::Relaxed) {
                    2 => Ok(7),
                    _ => Err(RetryError::Transient("not yet")),
                }
            })
            .await;
        assert_eq!((result, tries.into_inner()), (Ok(7), 3));
    }

    #[tokio::test]
    async fn a_permanent_failure_ends_it_at_once() {
        let tries = AtomicU32::new(0);
        let result: Result<(), &str> = POLICY
            .run(Duration::from_secs(5), || async {
                tries.fetch_add(1, Ordering::Relaxed);
                Err(RetryError::Permanent("never"))
            })
            .await;
        assert_eq!((result, tries.into_inner()), (Err("never"), 1));
    }

    #[tokio::test]
    async fn the_limit_ends_it_with_the_last_failure() {
        let result: Result<(), &str> =
            POLICY.run(Duration::from_millis(60), || async { Err(RetryError::Transient("still not")) }).await;
        assert_eq!(result, Err("still not"));
    }

    #[test]
    fn waits_double_up_to_the_longest_with_full_jitter() {
        for (failures, expected_ms) in [(1, 20), (2, 40), (3, 80), (4, 160), (5, 200), (400, 200)] {
            let wait = POLICY.wait_after(failures).as_secs_f64() * 1000.0;
            let expected = f64::from(expected_ms);
            assert!((0.0..=expected + 0.001).contains(&wait), "{failures}: {wait}");
        }
    }
}
