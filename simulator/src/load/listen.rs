//! `listen`: chargers that answer what the central system asks of them, and when each question came.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::report::Report;
use super::{Booted, Counts};

/// A CALL of the central system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Its id on the wire.
    pub id: String,
    /// When it came.
    pub at: Instant,
}

/// Answers for this long, and closes the sockets.
pub async fn listen(chargers: Booted, duration: Duration) -> (Report, Vec<Asked>) {
    let Booted { fleet, mut report, .. } = chargers;
    let end = Instant::now() + duration;
    let mut listening = JoinSet::new();
    for (_, mut socket) in fleet.sockets {
        listening.spawn(async move {
            socket.asked = Some(Vec::new());
            let failed = socket.hold(end).await.err();
            let asked = socket.asked.take().unwrap_or_default();
            let violations = std::mem::take(&mut socket.violations);
            socket.close().await;
            (failed, asked, violations)
        });
    }
    let mut all = Vec::new();
    while let Some(listened) = listening.join_next().await {
        match listened {
            Ok((failed, asked, violations)) => {
                report.add(&Counts::new(), &violations);
                if let Some(failure) = failed {
                    report.error(failure.to_string());
                }
                all.extend(asked);
            }
            Err(panicked) => report.error(panicked.to_string()),
        }
    }
    report.took(duration);
    (report, all)
}
