//! The process: reads settings, sets up the log, and runs the service until a signal.

use std::process::ExitCode;

use command_line::COMMIT;
use common::exit::{Failure, report};
use common::settings::{Settings, help};
use common::shutdown::{self, unless_stopped};
use common::telemetry::{LogConfig, exposition};
use public_api::app::App;
use public_api::config::{ABOUT, Config, MATTER_MOST};
use store::Writes;
use tikv_jemallocator::Jemalloc;

/// With glibc's allocator, a fifth of a request's cost is allocation, most of it in pieces of more than a kilobyte
/// (`bench/README.md`).
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

#[tokio::main]
async fn main() -> ExitCode {
    match command_line::without_arguments("public-api", ABOUT, help(MATTER_MOST)) {
        Ok(()) => report(run().await),
        Err(code) => code,
    }
}

async fn run() -> Result<(), Failure> {
    let settings = Settings::load()?;
    let traces = LogConfig::from_settings(&settings)?.install("public-api");
    let config = Config::from_settings(&settings)?;
    let shutdown = shutdown::on_signal().map_err(|error| Failure::Broken(error.to_string()))?;
    // Before the first connection, which is counted.
    let exposition = exposition(COMMIT)?;
    let connecting = async {
        Ok((config.store.open(&[Writes::Notes]).await?, config.broker.connect("public-api").await?))
    };
    let Some((store, broker)) = unless_stopped(&shutdown, connecting).await? else { return Ok(()) };
    let app = App::build(&config, store.clone(), broker.clone())?.with_metrics(exposition);
    tracing::info!(address = %app.address(), scheme = app.scheme(), "public-api listens");
    let ran = app.run(shutdown).await;
    broker.close().await;
    store.close().await;
    traces.flush().await;
    ran
}
