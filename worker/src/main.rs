//! The process: reads its settings, starts its log, and runs the service until a signal.

use std::process::ExitCode;

use command_line::COMMIT;
use common::exit::{Failure, report};
use common::settings::{Settings, help};
use common::shutdown::{self, unless_stopped};
use common::telemetry::{LogConfig, exposition};
use store::Writes;
use tikv_jemallocator::Jemalloc;
use worker::app::App;
use worker::config::{ABOUT, Config, MATTER_MOST};

/// glibc's allocator takes a fifth of the cost of a request, most of it for blocks larger than a kilobyte
/// (`bench/README.md`).
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

#[tokio::main]
async fn main() -> ExitCode {
    match command_line::without_arguments("worker", ABOUT, help(MATTER_MOST)) {
        Ok(()) => report(run().await),
        Err(code) => code,
    }
}

async fn run() -> Result<(), Failure> {
    let settings = Settings::load()?;
    let traces = LogConfig::from_settings(&settings)?.install("worker");
    let config = Config::from_settings(&settings)?;
    let shutdown = shutdown::on_signal().map_err(|error| Failure::Broken(error.to_string()))?;
    // Installed before the first connection, which is counted. Without a health port the metrics cannot be scraped.
    let exposition = config.health.map(|_| exposition(COMMIT)).transpose()?;
    let connecting =
        async { Ok((config.store.open(&[Writes::Records]).await?, config.broker.connect("worker").await?)) };
    let Some((store, broker)) = unless_stopped(&shutdown, connecting).await? else { return Ok(()) };
    let mut app = App::build(&config, store.clone(), broker.clone())?;
    if let Some(exposition) = exposition {
        app = app.with_metrics(exposition);
    }
    tracing::info!(queue = config.broker.task_queue, concurrency = config.concurrency, "worker takes tasks");
    let ran = app.run(shutdown).await;
    broker.close().await;
    store.close().await;
    traces.flush().await;
    ran
}
