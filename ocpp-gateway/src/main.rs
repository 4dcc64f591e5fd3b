//! The process: settings, log, service, until a signal.

use std::process::ExitCode;

use ocpp_gateway::app::App;
use ocpp_gateway::config::{Config, SERVICE};
use service_runtime::Process;
use service_runtime::exit::Failure;
use service_runtime::shutdown::unless_stopped;
use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

#[tokio::main]
async fn main() -> ExitCode {
    service_runtime::run(&SERVICE, serve).await
}

async fn serve(process: Process) -> Result<(), Failure> {
    let config = Config::from_settings(&process.settings)?;
    let exposition = process.exposition()?;
    let opening = async { Ok((config.database.open().await?, config.store.open(&[]).await?)) };
    let Some((db, store)) = unless_stopped(&process.shutdown, opening).await? else { return Ok(()) };
    let app = App::build(&config, db.clone(), &store)?.with_metrics(exposition);
    let tls = app.tls_address().map(|address| address.to_string());
    tracing::info!(address = %app.address(), tls, "ocpp-gateway listens");
    let ran = app.run(process.shutdown).await;
    store.close().await;
    db.close().await;
    ran
}
