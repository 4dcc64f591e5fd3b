//! The process: reads its settings, starts its log, and runs the service until a signal.

use std::process::ExitCode;

use service_runtime::Process;
use service_runtime::exit::Failure;
use service_runtime::shutdown::unless_stopped;
use store::Writes;
use tikv_jemallocator::Jemalloc;
use worker::app::App;
use worker::config::{Config, SERVICE};

/// With glibc's allocator, a fifth of a request's cost is allocation, most of it in pieces of more than a kilobyte
/// (`bench/README.md`).
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

#[tokio::main]
async fn main() -> ExitCode {
    service_runtime::run(&SERVICE, serve).await
}

async fn serve(process: Process) -> Result<(), Failure> {
    let config = Config::from_settings(&process.settings)?;
    // Without a port nothing could scrape the metrics.
    let exposition = config.health.map(|_| process.exposition()).transpose()?;
    let connecting = async {
        let store = config.store.open(&[Writes::Records]).await?;
        let db = match &config.platform {
            // Authorizations need no database, and must not wait for it.
            Some(platform) => Some(platform.database.open_later().await?),
            None => None,
        };
        Ok((store, db, config.broker.connect("worker").await?))
    };
    let Some((store, db, broker)) = unless_stopped(&process.shutdown, connecting).await? else {
        return Ok(());
    };
    let mut app = App::build(&config, store.clone(), broker.clone(), db.clone())?;
    if let Some(exposition) = exposition {
        app = app.with_metrics(exposition);
    }
    tracing::info!(queue = config.broker.task_queue, concurrency = config.concurrency, "worker takes tasks");
    let ran = app.run(process.shutdown).await;
    broker.close().await;
    store.close().await;
    if let Some(db) = db {
        db.close().await;
    }
    ran
}
