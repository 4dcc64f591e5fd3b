//! A worker of the fleet. It is started, works, is killed, and is started again.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::watch;

use super::{LOOK_EVERY, Plan};
use crate::callback_host::{Callback, CallbackHost};
use crate::deployment::Deployment;
use crate::process::Process;
use crate::python::Python;

const PYTHON_WORKER: &str = include_str!("../../celery/authorization_worker.py");
const NODE: &str = "python@fleet";
/// One life in this many ends before the worker has done anything, perhaps while it starts.
const SHORT_LIVES: u32 = 6;
const STARTS_WITHIN: Duration = Duration::from_secs(2);
const AWAY_AT_MOST: Duration = Duration::from_secs(2);

/// Which worker it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Ours,
    Python,
}

impl Kind {
    /// The worker that sent the callback.
    pub(super) fn of(callback: &Callback) -> Self {
        if callback.header("user-agent") == Some("python") { Self::Python } else { Self::Ours }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ours => "ours",
            Self::Python => "Python's",
        })
    }
}

/// A worker's process. Killed when dropped.
pub(super) enum Worker {
    Ours(Process),
    Python(Python),
}

impl Worker {
    fn start(kind: Kind, plan: &Plan, deployment: &Deployment, logs: &Path) -> Self {
        let broker = &deployment.environment["BROKER_URL"];
        match kind {
            Kind::Ours => {
                let mut log = tempfile::Builder::new();
                let log = log.prefix("ours-").suffix(".log").disable_cleanup(true).tempfile_in(logs);
                let log = log.expect("a file for the log");
                Self::Ours(Process::start_with_log("worker", &[], &deployment.environment, log))
            }
            Kind::Python => {
                let acl_url = &deployment.environment["AUTHORIZATION_SERVICE_URL"];
                let arguments = [broker.as_str(), plan.queue_type.name(), acl_url, NODE];
                let python = &deployment.servers.python;
                Self::Python(Python::start(python, PYTHON_WORKER, &arguments, &logs.join("python.log")))
            }
        }
    }

    fn has_ended(&mut self) -> bool {
        match self {
            Self::Ours(process) => process.exit_status().is_some(),
            Self::Python(process) => process.has_ended(),
        }
    }

    async fn kill(self) {
        match self {
            Self::Ours(process) => process.kill().await,
            Self::Python(process) => process.kill().await,
        }
    }
}

/// The lives of one worker.
pub(super) struct Lives {
    pub(super) kind: Kind,
    /// How often it exited on its own.
    pub(super) deaths: usize,
    /// The last process, which is still running.
    pub(super) worker: Worker,
}

/// Starts a worker and kills it at random, until `over`.
pub(super) async fn live(
    kind: Kind,
    plan: Plan,
    deployment: Deployment,
    host: Arc<CallbackHost>,
    logs: PathBuf,
    kills: Arc<AtomicUsize>,
    mut over: watch::Receiver<bool>,
) -> Lives {
    let mut rng = SmallRng::seed_from_u64(plan.seed.wrapping_add(kind as u64));
    let start = || Worker::start(kind, &plan, &deployment, &logs);
    let (mut worker, mut deaths) = (start(), 0);
    loop {
        let short = rng.random_range(0..SHORT_LIVES) == 0;
        let life = if short { STARTS_WITHIN } else { plan.life }.mul_f64(rng.random());
        let away = AWAY_AT_MOST.mul_f64(rng.random());
        let living = async {
            if !short {
                works(&host, kind, &mut worker).await;
            }
            tokio::time::sleep(life).await;
        };
        tokio::select! {
            () = living => {}
            _ = over.wait_for(|over| *over) => return Lives { kind, deaths, worker },
        }
        deaths += usize::from(worker.has_ended());
        worker.kill().await;
        kills.fetch_add(1, Ordering::Relaxed);
        // A killed worker is always started again, even at the end of the run: its deliveries that were in flight still
        // have to be processed.
        tokio::time::sleep(away).await;
        worker = start();
    }
}

/// Returns when a worker of this kind sends a callback, or when it is found dead.
async fn works(host: &CallbackHost, kind: Kind, worker: &mut Worker) {
    let count = || host.count_of(|callback| Kind::of(callback) == kind);
    let before = count();
    while count() == before && !worker.has_ended() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
