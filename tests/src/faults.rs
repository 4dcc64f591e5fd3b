//! What the fault suites share: the schedule that a seed makes, the processes that faults befall, and the run itself.

pub(crate) mod member;
pub(crate) mod progress;
pub(crate) mod schedule;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use member::{Service, Staff};
use schedule::{Kind, Planned};

/// With more faults at once, nothing would be left to do the work.
const AT_ONCE: usize = 2;

/// A system that faults befall.
pub(crate) trait Stage: Send + Sync + 'static {
    type Service: Service;
    type Kind: Kind;

    fn staff(&self) -> &Staff<Self::Service, <Self::Kind as Kind>::Part>;

    /// Injects the fault, waits, and ends it. No other fault affects the same part meanwhile.
    fn inject(&self, fault: &Planned<Self::Kind>) -> impl Future<Output = ()> + Send;
}

/// A fault that has ended.
pub(crate) struct Past {
    name: String,
    ended: Instant,
}

/// Follows the schedule; returns when every fault has ended.
pub(crate) async fn inject_all<S: Stage>(
    stage: &Arc<S>,
    seed: u64,
    length: Duration,
    mut show: impl FnMut(),
) -> Vec<Past> {
    let began = tokio::time::Instant::now();
    let free = Arc::new(Semaphore::new(AT_ONCE));
    let (mut running, mut past) = (JoinSet::new(), Vec::new());
    for fault in schedule::schedule::<S::Kind>(seed, length) {
        while began.elapsed() < fault.at {
            show();
            let next = tokio::time::Instant::now() + progress::EVERY;
            tokio::time::sleep_until((began + fault.at).min(next)).await;
        }
        let place = Arc::clone(&free).acquire_owned().await.expect("it is never closed");
        if began.elapsed() > length {
            break;
        }
        let stage = Arc::clone(stage);
        running.spawn(async move {
            let _place = place;
            befall(&stage, fault).await
        });
    }
    while let Some(ended) = running.join_next().await {
        past.push(ended.expect("befall catches what happens"));
    }
    past
}

async fn befall<S: Stage>(stage: &Arc<S>, fault: Planned<S::Kind>) -> Past {
    let _turn = stage.staff().turn(fault.part()).lock().await;
    let doing = {
        let stage = Arc::clone(stage);
        tokio::spawn(async move { stage.inject(&fault).await })
    };
    if let Err(error) = doing.await {
        stage.staff().complain(format!("{}: {error}", fault.kind));
    }
    Past { name: fault.kind.to_string(), ended: Instant::now() }
}

/// How often each fault was injected.
pub(crate) fn counts(past: &[Past]) -> BTreeMap<String, usize> {
    past.iter().fold(BTreeMap::new(), |mut counts, fault| {
        *counts.entry(fault.name.clone()).or_default() += 1;
        counts
    })
}

/// The longest time from the end of a fault to the next of these signs of life, with the name of the fault.
pub(crate) fn longest_recovery(past: &[Past], mut signs: Vec<Instant>) -> Option<(Duration, String)> {
    signs.sort_unstable();
    let recoveries = past.iter().filter_map(|fault| {
        let next = signs.partition_point(|at| *at < fault.ended);
        Some((*signs.get(next)? - fault.ended, fault.name.clone()))
    });
    recoveries.max()
}

/// Keeps the logs only.
pub(crate) fn keep(directory: TempDir) -> PathBuf {
    let kept = directory.keep();
    for server in ["rabbitmq", "redis", "postgres"] {
        let _ = std::fs::remove_dir_all(kept.join(server).join("data"));
    }
    kept
}

/// Runs on a blocking thread, because starting and killing a server blocks.
pub(crate) async fn aside<S: Send + 'static>(server: &Arc<Mutex<S>>, act: fn(&mut S) -> Result<()>) {
    let server = Arc::clone(server);
    let acting =
        tokio::task::spawn_blocking(move || act(&mut server.lock().unwrap_or_else(PoisonError::into_inner)));
    acting.await.unwrap().expect("the server does what is asked of it");
}
