//! The worker: consumes deliveries, runs their tasks concurrently, and settles each only after its outcome is durable.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::broker::{Broker, BrokerError};
use crate::clock::Clock;
use crate::control::{self, ControlConfig, ControlState, MemorySamples};
use crate::events::Events;
use crate::execution::{
    Autoscale, Canvas, Consumers, Job, Lifecycle, Limits, Pool, Registry, Results, RevokedTasks,
};
use crate::node::Node;
use crate::protocol::Origin;
use crate::result_backend::ResultBackend;
use crate::task::Tasks;

/// How long remote control may take to shut down.
const FAREWELL: Duration = Duration::from_secs(3);

/// Which queues a worker consumes, and how it stops.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// The queues, each with the number of its tasks that may be in flight at once. Tasks that follow from another
    /// (callbacks, the rest of a chain) go to the first queue if they name none.
    pub queues: Vec<(String, u16)>,
    /// How long stopping waits for the tasks in flight.
    pub grace: Duration,
}

/// Runs tasks until it is stopped.
#[derive(Debug)]
pub struct Worker {
    broker: Arc<dyn Broker>,
    tasks: Arc<Tasks>,
    config: WorkerConfig,
    results: ResultBackend,
    prefetch_multiplier: u16,
    autoscale: Option<Autoscale>,
    control: Option<ControlConfig>,
}

impl Worker {
    /// A worker for these tasks.
    pub fn new(broker: Arc<dyn Broker>, tasks: Tasks, config: WorkerConfig) -> Self {
        Self {
            broker,
            tasks: Arc::new(tasks),
            config,
            results: ResultBackend::Disabled,
            prefetch_multiplier: 1,
            autoscale: None,
            control: None,
        }
    }

    /// Stores the results of tasks in this backend.
    #[must_use]
    pub fn with_results(mut self, results: ResultBackend) -> Self {
        self.results = results;
        self
    }

    /// Sets the prefetch to `multiplier` times the concurrency. RabbitMQ silently drops a message that expires in its
    /// queue. One that expires after it was delivered is revoked, and its caller is notified.
    #[must_use]
    pub fn with_prefetch_multiplier(mut self, multiplier: u16) -> Self {
        self.prefetch_multiplier = multiplier.max(1);
        self
    }

    /// Adds events and remote control, if the broker supports them.
    #[must_use]
    pub fn with_control(mut self, config: ControlConfig) -> Self {
        self.control = Some(config);
        self
    }

    /// Lets the number of slots follow the load between these bounds. They replace the configured concurrency.
    #[must_use]
    pub fn with_autoscale(mut self, bounds: Option<Autoscale>) -> Self {
        self.autoscale = bounds;
        self
    }

    /// Works until `shutdown`, then finishes the tasks in flight within the grace time and requeues the rest. Remote
    /// control can cancel `shutdown` too.
    ///
    /// # Errors
    /// Returns an error if a queue cannot be consumed.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), BrokerError> {
        let (in_flight, cancel) = (TaskTracker::new(), CancellationToken::new());
        let (sender, marks) = mpsc::channel(control::MAX_MARKS);
        let state = Arc::new(self.state(&in_flight, &cancel, &shutdown, sender));
        // Before the first task is received.
        if let Some(file) = self.control.as_ref().and_then(|config| config.state_file.as_ref()) {
            state.revoked.restore(file);
        }
        for (queue, concurrency) in &self.config.queues {
            state.consumers.begin(queue, *concurrency).await?;
        }
        let done = CancellationToken::new();
        // A task of its own, so that a panic in it does not end the consumers.
        let control = self.control.clone().zip(state.bus.clone()).map(|(config, bus)| {
            let (state, done, results) = (Arc::clone(&state), done.clone(), (self.results.clone(), marks));
            tokio::spawn(async move { control::run(&state, &bus, &config, results, &done).await })
        });
        tokio::join!(state.pool.follow(&state.registry, &shutdown), self.prepare_delays(&shutdown));
        shutdown.cancelled().await;
        state.consumers.ended().await;
        self.finish(&in_flight, &cancel).await;
        done.cancel();
        if let Some(mut control) = control
            && tokio::time::timeout(FAREWELL, &mut control).await.is_err()
        {
            control.abort();
        }
        Ok(())
    }

    /// Builds all parts of a worker. Without remote control there is no bus, and no events are sent.
    fn state(
        &self,
        in_flight: &TaskTracker,
        cancel: &CancellationToken,
        shutdown: &CancellationToken,
        marks: mpsc::Sender<Vec<String>>,
    ) -> ControlState {
        let config = self.control.clone().unwrap_or_default();
        let bus = self.control.as_ref().and_then(|_| self.broker.bus());
        let node = config.hostname.as_deref().map(Node::named).unwrap_or_default();
        let (clock, registry) = (Arc::new(Clock::default()), Arc::new(Registry::default()));
        let events =
            Arc::new(Events::new(node.clone(), Arc::clone(&clock), bus.is_some(), config.task_events));
        let (revoked, limits) = (Arc::<RevokedTasks>::default(), Arc::<Limits>::default());
        let results = Results {
            backend: self.results.clone(),
            broker: Arc::clone(&self.broker),
            cancel: cancel.clone(),
            node: node.clone(),
        };
        let default_queue = self.config.queues.first().map(|(queue, _)| queue.clone()).unwrap_or_default();
        let (sink, known) = (Arc::clone(&events), Arc::clone(&registry));
        let job = Job {
            broker: Arc::clone(&self.broker),
            tasks: Arc::clone(&self.tasks),
            lifecycle: Arc::new(Lifecycle { registry: known, events: sink, results }),
            canvas: Arc::new(Canvas { origin: Origin::new(), default_queue }),
            revoked: Arc::clone(&revoked),
            limits: Arc::clone(&limits),
            cancel: cancel.clone(),
        };
        let base = self.config.queues.iter().map(|(_, concurrency)| *concurrency).max().unwrap_or(1);
        let pool =
            Arc::new(Pool::new(usize::from(base), usize::from(self.prefetch_multiplier), self.autoscale));
        let consumers = Consumers::new(job, Arc::clone(&pool), in_flight.clone(), shutdown.clone());
        ControlState {
            node,
            clock,
            tasks: Arc::clone(&self.tasks),
            registry,
            revoked,
            limits,
            events,
            pool,
            consumers: Arc::new(consumers),
            bus,
            conf: config.conf,
            memory: MemorySamples::default(),
            marks,
            shutdown: shutdown.clone(),
            started: Instant::now(),
        }
    }

    async fn prepare_delays(&self, shutdown: &CancellationToken) {
        tokio::select! {
            prepared = self.broker.prepare_delays() => {
                // The first delayed message tries again.
                if let Err(error) = prepared {
                    tracing::warn!(%error, "the delay queues could not be declared yet");
                }
            }
            () = shutdown.cancelled() => {}
        }
    }

    async fn finish(&self, in_flight: &TaskTracker, cancel: &CancellationToken) {
        in_flight.close();
        if tokio::time::timeout(self.config.grace, in_flight.wait()).await.is_err() {
            tracing::warn!(tasks = in_flight.len(), "the grace time is over; requeueing the tasks in flight");
            cancel.cancel();
            let _ = tokio::time::timeout(Duration::from_secs(1), in_flight.wait()).await;
        }
    }
}
