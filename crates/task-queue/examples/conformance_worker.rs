//! A worker for tests only. It has the tasks that Celery's own integration tests call, with the same names and
//! behaviour. Usage: `--broker URL --backend URL --hostname NODE --concurrency N`

mod conformance_worker {
    pub(crate) mod arithmetic;
    pub(crate) mod endings;
    pub(crate) mod requests;
    pub(crate) mod side_effects;
    pub(crate) mod task;
}

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use conformance_worker::{arithmetic, endings, requests, side_effects};
use task_queue::{ControlConfig, QueueType, ResultBackend, Tasks, Topology, Worker, WorkerConfig, connect};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

const CONNECT_LIMIT: Duration = Duration::from_secs(30);
/// Celery's default.
const PREFETCH_MULTIPLIER: u16 = 4;
const GRACE: Duration = Duration::from_secs(10);

#[derive(Debug, Parser)]
struct Arguments {
    /// The broker's URL, such as `amqp://guest:guest@localhost:5672/%2f`.
    #[arg(long)]
    broker: String,
    /// The result backend's URL, such as `redis://localhost:6379` or `rpc://`.
    #[arg(long, default_value = "disabled://")]
    backend: String,
    /// The worker's name, such as `celery@host`.
    #[arg(long)]
    hostname: String,
    /// The number of tasks that run at once.
    #[arg(long, default_value_t = 4)]
    concurrency: u16,
    /// The queue to consume.
    #[arg(long, default_value = "celery")]
    queue: String,
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Arguments = match command_line::parse() {
        Ok(arguments) => arguments,
        Err(code) => return Ok(code),
    };
    tracing_subscriber::fmt().json().flatten_event(true).with_writer(std::io::stderr).init();
    let topology = Topology {
        queues: vec![arguments.queue.clone()],
        // The type that Celery's clients declare.
        queue_type: QueueType::Classic,
        publish_timeout: Duration::from_secs(10),
        name: arguments.hostname.clone(),
    };
    let broker = connect(&arguments.broker, topology, CONNECT_LIMIT).await?;
    let tasks = [arithmetic::register, endings::register, requests::register, side_effects::register]
        .into_iter()
        .try_fold(Tasks::default(), |tasks, register| register(tasks))?;
    let config = WorkerConfig { queues: vec![(arguments.queue, arguments.concurrency)], grace: GRACE };
    let worker = Worker::new(broker.clone(), tasks, config)
        .with_results(ResultBackend::open(&arguments.backend)?)
        .with_prefetch_multiplier(PREFETCH_MULTIPLIER)
        .with_control(ControlConfig {
            hostname: Some(arguments.hostname.clone()),
            ..ControlConfig::default()
        });
    let shutdown = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let stopping = shutdown.clone();
    tokio::spawn(async move {
        terminate.recv().await;
        stopping.cancel();
    });
    tracing::info!(hostname = arguments.hostname, "ready");
    worker.run(shutdown).await?;
    broker.close().await;
    Ok(ExitCode::SUCCESS)
}
