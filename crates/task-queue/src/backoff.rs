//! Growing waits between attempts, until one succeeds or the process shuts down.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// The process is shutting down: unfinished work is requeued or left to the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShuttingDown;

/// Waits between two bounds, each twice as long as the one before.
#[derive(Debug)]
pub(crate) struct Backoff {
    initial: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) const fn new(initial: Duration, max: Duration) -> Self {
        Self { initial, max, next: initial }
    }

    /// Between attempts to publish an outcome or to store a result, which the worker keeps up until it shuts down.
    pub(crate) const fn of_outcomes() -> Self {
        Self::new(Duration::from_millis(200), Duration::from_secs(5))
    }

    /// Whether it has not waited since it was created or reset.
    pub(crate) fn is_fresh(&self) -> bool {
        self.next == self.initial
    }

    /// After a success: the next wait is the initial one again.
    pub(crate) fn reset(&mut self) {
        self.next = self.initial;
    }

    pub(crate) async fn wait(&mut self, shutdown: &CancellationToken) -> Result<(), ShuttingDown> {
        tokio::select! {
            () = tokio::time::sleep(self.next) => {}
            () = shutdown.cancelled() => return Err(ShuttingDown),
        }
        self.next = (self.next * 2).min(self.max);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_double_up_to_the_maximum_and_begin_anew_after_a_reset() {
        let shutdown = CancellationToken::new();
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(3));
        for expected in [1, 2, 3, 3] {
            let began = Instant::now();
            backoff.wait(&shutdown).await.unwrap();
            assert_eq!(began.elapsed().as_secs(), expected);
        }
        assert!(!backoff.is_fresh());
        backoff.reset();
        assert!(backoff.is_fresh());
        shutdown.cancel();
        assert_eq!(backoff.wait(&shutdown).await, Err(ShuttingDown));
    }
}
