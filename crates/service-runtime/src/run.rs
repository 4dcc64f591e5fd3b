//! How every service starts and ends: the command line, the settings, the log, the service until a signal, and an exit code
//! that says why it ended.

use std::process::ExitCode;

use command_line::COMMIT;
use tokio_util::sync::CancellationToken;

use crate::exit::{Failure, report};
use crate::metrics::{self, Exposition, Metric};
use crate::settings::{Setting, Settings, help};
use crate::shutdown;
use crate::telemetry::LogConfig;

/// What a service is, apart from what it does.
#[derive(Debug)]
pub struct Service {
    /// The program's name, also in traces.
    pub name: &'static str,
    /// What it does, for `--help`.
    pub about: &'static str,
    /// The settings that most installations have to decide.
    pub matter_most: &'static [&'static Setting],
    /// The rows of the settings that it reads.
    pub settings: &'static [&'static [Setting]],
    /// The metrics that it serves.
    pub metrics: &'static [&'static [Metric]],
    /// The crates whose spans are sent.
    pub traced: &'static [&'static str],
}

/// A process that has begun.
pub struct Process {
    /// The settings in force.
    pub settings: Settings,
    /// Cancelled by the first SIGTERM or SIGINT.
    pub shutdown: CancellationToken,
    service: &'static Service,
}

impl Process {
    /// Counts from here on. Call it before the first connection, which is counted too.
    ///
    /// # Errors
    /// Returns an error if it was called before.
    pub fn exposition(&self) -> Result<Exposition, Failure> {
        Ok(metrics::install(COMMIT, self.service.metrics)?)
    }
}

/// Runs a service until it ends, and returns the code to exit with.
pub async fn run(
    service: &'static Service,
    serve: impl AsyncFnOnce(Process) -> Result<(), Failure>,
) -> ExitCode {
    match command_line::without_arguments(service.name, service.about, help(service.matter_most)) {
        Ok(()) => report(started(service, serve).await),
        Err(code) => code,
    }
}

async fn started(
    service: &'static Service,
    serve: impl AsyncFnOnce(Process) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let settings = Settings::load(service.settings)?;
    let traces = LogConfig::from_settings(&settings)?.install(service.name, service.traced);
    let shutdown = shutdown::on_signal().map_err(Failure::broken)?;
    let served = serve(Process { settings, shutdown, service }).await;
    traces.flush().await;
    served
}
