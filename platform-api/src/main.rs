//! The process: settings, log, service, until a signal.

use std::process::ExitCode;

use platform_api::app::App;
use platform_api::config::{Config, SERVICE};
use service_runtime::Process;
use service_runtime::exit::Failure;
use service_runtime::shutdown::unless_stopped;
use tikv_jemallocator::Jemalloc;

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
    let exposition = process.exposition()?;
    let opening = async {
        let db = config.database.open().await?;
        Ok((db, config.store.open(&[]).await?, config.broker.connect("platform-api").await?))
    };
    let Some((db, store, broker)) = unless_stopped(&process.shutdown, opening).await? else { return Ok(()) };
    let building = App::build(&config, db.clone(), &store, broker.clone());
    let Some(app) = unless_stopped(&process.shutdown, building).await? else { return Ok(()) };
    let app = app.with_metrics(exposition);
    tracing::info!(address = %app.address(), scheme = app.scheme(), "platform-api listens");
    let ran = app.run(process.shutdown).await;
    broker.close().await;
    store.close().await;
    db.close().await;
    ran
}
