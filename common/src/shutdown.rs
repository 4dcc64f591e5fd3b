//! Stopping: the first SIGTERM or SIGINT asks, the second leaves at once.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit::Failure;

/// A token that is cancelled by the first SIGTERM or SIGINT. The process leaves at the second, with 128 + 15.
///
/// # Errors
/// The operating system refused to hand out signals.
pub fn on_signal() -> std::io::Result<CancellationToken> {
    let shutdown = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let token = shutdown.clone();
    tokio::spawn(async move {
        next(&mut terminate, &mut interrupt).await;
        tracing::info!("stopping: finishing what is in hand; a second signal leaves at once");
        token.cancel();
        next(&mut terminate, &mut interrupt).await;
        leave_at_once();
    });
    Ok(shutdown)
}

/// What a service does before it serves, such as looking for what it depends on. Nothing when it was told to stop
/// meanwhile.
///
/// # Errors
/// What `starting` failed with.
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
    reason = "the operator asked twice: what is in hand is given back by the broker"
)]
fn leave_at_once() {
    std::process::exit(128 + 15);
}
