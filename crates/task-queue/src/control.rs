//! Celery's remote control (pidbox): a client that can publish to the broker can inspect and control a worker. It runs
//! beside the tasks and never blocks them; while the broker is unavailable it does nothing.

mod answer;
mod arguments;
mod commands;
mod gossip;
mod inspect;
mod mailbox;
mod matcher;
mod revoke;
mod stats;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub(crate) use self::stats::MemorySamples;
use crate::broker::Bus;
use crate::clock::Clock;
use crate::events::{self, Events, Vitals};
use crate::execution::{Consumers, Limits, Pool, Registry, RevokedTasks};
use crate::node::Node;
use crate::result_backend::ResultBackend;
use crate::task::Tasks;

/// How a worker appears to others, and what it reports.
#[derive(Debug, Clone, Default)]
pub struct ControlConfig {
    /// `name@host`, as for [`Node::named`]; the default is `celery@` and the host's name. Of two workers with the same
    /// name on one broker, only one receives commands.
    pub hostname: Option<String>,
    /// Whether events of tasks are sent from the start (`-E`), and not only once they are enabled.
    pub task_events: bool,
    /// The file that keeps revoked ids over a restart.
    pub state_file: Option<PathBuf>,
    /// Values that `conf` answers in addition to the worker's own. It must hold no secrets: every client can read it.
    pub conf: Map<String, Value>,
}

/// The state that commands read and change.
pub(crate) struct ControlState {
    pub(crate) node: Node,
    pub(crate) clock: Arc<Clock>,
    pub(crate) tasks: Arc<Tasks>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) revoked: Arc<RevokedTasks>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) events: Arc<Events>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) consumers: Arc<Consumers>,
    pub(crate) bus: Option<Bus>,
    pub(crate) conf: Map<String, Value>,
    pub(crate) memory: MemorySamples,
    /// Revoked ids, which [`run`] stores for the clients that wait.
    pub(crate) marks: mpsc::Sender<Vec<String>>,
    /// Cancelled to stop the worker.
    pub(crate) shutdown: CancellationToken,
    pub(crate) started: Instant,
}

impl ControlState {
    fn vitals(&self) -> Vitals {
        Vitals { active: self.registry.active(), processed: self.registry.processed() }
    }
}

/// Revoked ids, in one list per command.
pub(crate) type Marks = mpsc::Receiver<Vec<String>>;
/// The maximum number of commands whose revoked ids wait to be stored.
pub(crate) const MAX_MARKS: usize = 1000;

/// Receives and answers commands, and sends events, until `done`: the worker stays reachable while it finishes its
/// tasks in flight.
pub(crate) async fn run(
    state: &ControlState,
    bus: &Bus,
    config: &ControlConfig,
    (backend, mut marks): (ResultBackend, Marks),
    done: &CancellationToken,
) {
    let offline = CancellationToken::new();
    let heartbeat = async {
        events::beat(&state.events, || state.vitals(), done).await;
        offline.cancel();
    };
    let keeping = async {
        if let Some(file) = &config.state_file {
            state.revoked.keep(file.clone(), done).await;
        }
    };
    tokio::join!(
        heartbeat,
        events::dispatch(&state.events, bus, &offline),
        keeping,
        revoke::mark(&backend, &mut marks, done),
        mailbox::serve(state, bus, done),
        gossip::greet(state, bus, done),
        gossip::vote(state, bus, done),
    );
}
