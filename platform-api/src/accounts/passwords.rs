//! Hashes passwords outside the threads of the server, a bounded number at once: each takes a core for tens of milliseconds,
//! and 19 MiB.

use std::sync::Arc;
use std::time::Duration;

use charging::accounts::{Password, PasswordHash};
use http_server::Problem;
use tokio::sync::Semaphore;

/// How long a request waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// Hashes and verifies passwords. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Passwords(Arc<Semaphore>);

impl Passwords {
    /// As many at once as there are cores.
    pub(crate) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZeroUsize::get);
        Self(Arc::new(Semaphore::new(cores)))
    }

    /// Hashes a new password.
    pub(crate) async fn hash(&self, password: Password) -> Result<PasswordHash, Problem> {
        let hash = self.run(move || password.hash()).await?;
        hash.map_err(|error| Problem::internal(error.to_string()))
    }

    /// Whether this is the password.
    pub(crate) async fn verify(&self, hash: PasswordHash, presented: String) -> Result<bool, Problem> {
        self.run(move || hash.verify(&presented)).await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
        let busy = || Problem::unavailable("passwords", "too many sign-ins at once", Duration::from_secs(2));
        let permit = tokio::time::timeout(PATIENCE, Arc::clone(&self.0).acquire_owned()).await;
        let permit = permit.ok().and_then(Result::ok).ok_or_else(busy)?;
        let worked = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(permit);
            done
        });
        worked.await.map_err(|_| Problem::internal("a password could not be hashed"))
    }
}
