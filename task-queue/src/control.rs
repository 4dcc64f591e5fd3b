//! Remote control as Celery has it (pidbox): anybody who can publish to the broker may ask a worker what it does and tell
//! it what to do. It works beside the tasks and never holds them up; while the broker is away it is silent.

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

/// How a worker is known to others, and what it tells them.
#[derive(Debug, Clone, Default)]
pub struct ControlConfig {
    /// `name@host`, as [`Node::named`] has it; `celery@` and the host's name unless it is set. Two workers of one name on
    /// one broker hear only one of the two.
    pub hostname: Option<String>,
    /// Whether events of tasks are sent from the start (`-E`), and not only when somebody asks for them.
    pub task_events: bool,
    /// Where revoked ids are kept over a restart.
    pub state_file: Option<PathBuf>,
    /// What `conf` answers beside what the worker knows itself. No secrets: it is read by whoever asks.
    pub conf: Map<String, Value>,
}

/// All that commands work with.
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
    /// What was revoked, for [`run`] to tell those who wait for it.
    pub(crate) marks: mpsc::Sender<Vec<String>>,
    /// Cancelled to end the worker.
    pub(crate) shutdown: CancellationToken,
    pub(crate) started: Instant,
}

impl ControlState {
    fn vitals(&self) -> Vitals {
        Vitals { active: self.registry.active(), processed: self.registry.processed() }
    }
}

/// Ids that were revoked, command by command.
pub(crate) type Marks = mpsc::Receiver<Vec<String>>;
/// Commands whose revoked ids wait to be told of.
pub(crate) const MAX_MARKS: usize = 1000;

/// Listens, answers and tells until `gone`: the worker is still there while it finishes what it has in flight.
pub(crate) async fn run(
    panel: &ControlState,
    bus: &Bus,
    config: &ControlConfig,
    (backend, mut marks): (ResultBackend, Marks),
    gone: &CancellationToken,
) {
    let told = CancellationToken::new();
    let telling = async {
        events::beat(&panel.events, || panel.vitals(), gone).await;
        told.cancel();
    };
    let keeping = async {
        if let Some(file) = &config.state_file {
            panel.revoked.keep(file.clone(), gone).await;
        }
    };
    tokio::join!(
        telling,
        events::dispatch(&panel.events, bus, &told),
        keeping,
        revoke::mark(&backend, &mut marks, gone),
        mailbox::serve(panel, bus, gone),
        gossip::greet(panel, bus, gone),
        gossip::vote(panel, bus, gone),
    );
}
