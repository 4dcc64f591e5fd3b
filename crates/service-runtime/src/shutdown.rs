//! Shutdown: the first SIGTERM or SIGINT requests it, the second exits at once.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit::Failure;

/// A token that the first SIGTERM or SIGINT cancels. The second signal ends the process with 128 + 15.
///
/// # Errors
/// Returns an error if the operating system does not register the signal handlers.
pub fn on_signal() -> std::io::Result<CancellationToken> {
    let shutdown = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let token = shutdown.clone();
    tokio::spawn(async move {
        next(&mut terminate, &mut interrupt).await;
        tracing::info!("stopping: finishing the work in flight; a second signal exits at once");
        token.cancel();
        next(&mut terminate, &mut interrupt).await;
        leave_at_once();
    });
    Ok(shutdown)
}

/// Runs the preparation of a service, such as connecting to its dependencies. Returns `None` if shutdown was requested
/// meanwhile.
///
/// # Errors
/// Returns the error of `starting`.
pub async fn unless_stopped<T>(
    shutdown: &CancellationToken,
    starting: impl Future<Output = Result<T, Failure>>,
) -> Result<Option<T>, Failure> {
    tokio::select! {
        started = starting => started.map(Some),
        () = shutdown.cancelled() => Ok(None),
    }
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the operator asked twice: the broker requeues what is in flight"
)]
fn leave_at_once() {
    std::process::exit(128 + 15);
}
