//! `voltgate doctor`: checks every dependency and setting, and suggests a remedy for each problem.

mod broker;
mod database;
mod finding;
mod machine;
mod management;
mod services;
mod settings;
mod store;

use std::process::ExitCode;

use serde_json::json;
use service_runtime::exit::Failure;
use service_runtime::settings::Settings;

use crate::terminal;
use clap::Args;
use finding::{Finding, Severity};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// public-api's URL [default: http://127.0.0.1:PUBLIC_API_PORT, https://localhost with TLS_CERT_FILE]
    #[arg(long, value_name = "URL")]
    pub(crate) api: Option<String>,
    /// acl-service's URL [default: AUTHORIZATION_SERVICE_URL and AUTHORIZATION_SERVICE_PORT]
    #[arg(long, value_name = "URL")]
    pub(crate) acl: Option<String>,
    /// platform-api's URL; asked only where a database is set [default: http://127.0.0.1:PLATFORM_API_PORT, https://localhost
    /// with TLS_CERT_FILE]
    #[arg(long, value_name = "URL")]
    pub(crate) platform: Option<String>,
    /// The data directory of `voltgate up` [default: as in BROKER_URL and REDIS_URL, or voltgate-data if it exists]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Print JSON for machines
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) async fn run(settings: &Settings, args: DoctorArgs) -> Result<ExitCode, Failure> {
    let (broker, store, database, services) = tokio::join!(
        broker::look(settings),
        store::look(settings),
        database::look(settings),
        services::look(settings, &args)
    );
    let findings: Vec<Finding> = settings::look(settings)
        .into_iter()
        .chain([machine::open_files()])
        .chain(broker)
        .chain(store)
        .chain(database)
        .chain(services)
        .collect();
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let (failures, warnings) = (count(Severity::Failure), count(Severity::Warning));
    if args.json {
        let checks: Vec<_> = findings.iter().map(Finding::as_json).collect();
        println!("{:#}", json!({ "checks": checks, "failures": failures, "warnings": warnings }));
    } else {
        for finding in &findings {
            if !terminal::line(&finding.as_line()) {
                break;
            }
        }
        terminal::line(&format!("failures: {failures}, warnings: {warnings}"));
    }
    Ok(ExitCode::from(u8::from(failures > 0)))
}
