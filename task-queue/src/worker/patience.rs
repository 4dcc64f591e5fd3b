//! Waiting for a server that is away, with growing pauses, until the worker has to leave.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::lifecycle::Leaving;

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(5);

/// The pauses between tries, each twice as long as the one before it.
pub(super) struct Pauses {
    next: Duration,
    give_up: CancellationToken,
}

impl Pauses {
    pub(super) fn until(give_up: &CancellationToken) -> Self {
        Self { next: FIRST, give_up: give_up.clone() }
    }

    pub(super) async fn pause(&mut self) -> Result<(), Leaving> {
        tokio::select! {
            () = tokio::time::sleep(self.next) => {}
            () = self.give_up.cancelled() => return Err(Leaving),
        }
        self.next = (self.next * 2).min(LONGEST);
        Ok(())
    }
}
