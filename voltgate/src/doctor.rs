//! `voltgate doctor`: checks every dependency and setting, and suggests a remedy for each problem.

mod broker;
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

use crate::cli::DoctorArgs;
use crate::terminal;
use finding::{Finding, Severity};

pub(crate) async fn run(settings: &Settings, args: DoctorArgs) -> Result<ExitCode, Failure> {
    let (broker, store, services) =
        tokio::join!(broker::look(settings), store::look(settings), services::look(settings, &args));
    let findings: Vec<Finding> = settings::look(settings)
        .into_iter()
        .chain([machine::open_files()])
        .chain(broker)
        .chain(store)
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
        terminal::line(&format!("{failures} failures, {warnings} warnings"));
    }
    Ok(ExitCode::from(u8::from(failures > 0)))
}
