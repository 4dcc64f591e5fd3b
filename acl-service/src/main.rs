//! The process: settings, log, service, until a signal.

use std::process::ExitCode;

use acl_service::app::App;
use acl_service::config::{Config, SERVICE};
use service_runtime::Process;
use service_runtime::exit::Failure;
use service_runtime::shutdown::unless_stopped;
use store::Writes;
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
    let opening = config.store.open(&[Writes::AccessLists]);
    let Some(store) = unless_stopped(&process.shutdown, opening).await? else { return Ok(()) };
    let app = App::build(&config, &store)?.with_metrics(process.exposition()?);
    tracing::info!(address = %app.address(), scheme = app.scheme(), "acl-service listens");
    let ran = app.run(process.shutdown).await;
    store.close().await;
    ran
}
