//! `voltgate settings`, and the rows of the settings table for the command. To add a setting, add a row here and its name to
//! `service_runtime::settings::NAMES`, and read it in `config.rs`.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};
use service_runtime::settings::{Effective, NAMES, Origin, Settings};

use crate::tables;
use crate::terminal;

service_runtime::settings! {
    VOLTGATE_KEY = "", "vg_<id>_<secret>",
        "The key that voltgate's commands present to the services", secret;
}

#[derive(Debug, Args)]
pub(crate) struct SettingsArgs {
    /// Show each setting's value in force and where it came from; secrets and passwords are masked
    #[arg(long)]
    effective: bool,
    /// Print JSON for machines
    #[arg(long, requires = "effective")]
    json: bool,
}

/// Prints the table of all settings, as Markdown, or the values in force.
pub(crate) fn print(settings: &Settings, args: &SettingsArgs) -> ExitCode {
    if !args.effective {
        print!("{}", tables::settings());
        return ExitCode::SUCCESS;
    }
    let row = |name: &&str| tables::SETTINGS.iter().copied().flatten().find(|row| row.name == *name);
    let all: Vec<Effective> = NAMES.iter().filter_map(row).map(|row| settings.effective(row)).collect();
    if args.json {
        let shown: Vec<Value> = all.iter().map(as_json).collect();
        terminal::line(&format!("{:#}", Value::from(shown)));
        return ExitCode::SUCCESS;
    }
    let (bold, width) = (terminal::bold(), all.iter().map(|each| each.name.len()).max().unwrap_or(0));
    terminal::line(&format!("{bold}{:<width$}  {:<12} value{bold:#}", "setting", "from"));
    for Effective { name, value, origin } in &all {
        let style = if *origin == Origin::Default { terminal::faint() } else { terminal::bold() };
        let value = if value.is_empty() { "-" } else { value };
        if !terminal::line(&format!("{style}{name:<width$}{style:#}  {:<12} {value}", origin.to_string())) {
            break;
        }
    }
    ExitCode::SUCCESS
}

fn as_json(setting: &Effective) -> Value {
    let Effective { name, value, origin } = setting;
    json!({ "setting": name, "value": value, "from": origin.to_string() })
}
