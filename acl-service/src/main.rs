//! The process: reads settings, sets up the log, and runs the service until a signal.

use std::process::ExitCode;

use acl_service::app::App;
use acl_service::config::{ABOUT, Config, MATTER_MOST};
use command_line::COMMIT;
use common::exit::{Failure, report};
use common::settings::{Settings, help};
use common::shutdown::{self, unless_stopped};
use common::telemetry::{LogConfig, exposition};
use store::Writes;
use tikv_jemallocator::Jemalloc;

/// With glibc's allocator, a fifth of a request's cost is allocation, most of it in pieces of more than a kilobyte
/// (`bench/README.md`).
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

#[tokio::main]
async fn main() -> ExitCode {
    match command_line::without_arguments("acl-service", ABOUT, help(MATTER_MOST)) {
        Ok(()) => report(run().await),
        Err(code) => code,
    }
}

async fn run() -> Result<(), Failure> {
    let settings = Settings::load()?;
    let traces = LogConfig::from_settings(&settings)?.install("acl-service");
    let config = Config::from_settings(&settings)?;
    let shutdown = shutdown::on_signal().map_err(|error| Failure::Broken(error.to_string()))?;
    let Some(store) = unless_stopped(&shutdown, config.store.open(&[Writes::AccessLists])).await? else {
        return Ok(());
    };
    let app = App::build(&config, store.clone())?.with_metrics(exposition(COMMIT)?);
    tracing::info!(address = %app.address(), scheme = app.scheme(), "acl-service listens");
    let ran = app.run(shutdown).await;
    store.close().await;
    traces.flush().await;
    ran
}
