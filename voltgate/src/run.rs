//! Runs a command: determines the locations of its queue and its store, then executes it.

use std::path::Path;
use std::pin::Pin;
use std::process::ExitCode;

use crate::settings::VOLTGATE_KEY;
use service_runtime::exit::{Failure, report};
use service_runtime::settings::Settings;
use service_runtime::shutdown;
use simulator::command::SimulateArgs;

use crate::cli::{Cli, Command, Documented};
use crate::client::Service;
use crate::places::{Missing, Part, settle};
use crate::{
    acl, authorize, backup, bench, charger, dead, demo, doctor, keys, log, manual, seed, settings, tables,
    terminal, up, users,
};

const ALL_PARTS: &[Part] = &[Part::Queue, Part::Store, Part::Database];

/// A running command. It is boxed, because the compiler limits the nesting depth of futures.
type Running<'a> = Pin<Box<dyn Future<Output = Result<ExitCode, Failure>> + 'a>>;

/// Runs the command.
pub async fn run(cli: Cli) -> ExitCode {
    match prepared(&cli) {
        Ok(settings) => start(cli.command, &settings).await.unwrap_or_else(|failure| report(Err(failure))),
        Err(failure) => report(Err(failure)),
    }
}

fn prepared(cli: &Cli) -> Result<Settings, Failure> {
    let Cli { command, key, verbose } = cli;
    if key.is_some() && !command.calls_services() {
        let name = command.name();
        return Err(Failure::Usage(format!(
            "--key has no effect on `voltgate {name}`, which calls no service"
        )));
    }
    if command.needs_no_settings() {
        return Ok(Settings::default());
    }
    let given = Settings::load(tables::SETTINGS)?.with(key.clone().map(|key| (&VOLTGATE_KEY, key)));
    let (data, parts, missing) = command.works_on();
    let settled = settle(&given, data, parts, missing)?;
    if *verbose {
        for part in parts {
            eprintln!("{}", part.place(data, &given, &settled)?);
        }
        for service in command.services(&settled)? {
            eprintln!("{}: {}", service.name(), service.base());
        }
    }
    Ok(settled)
}

impl Command {
    fn name(&self) -> &'static str {
        match self {
            Self::Up { .. } => "up",
            Self::Demo => "demo",
            Self::Authorize(_) => "authorize",
            Self::Acl(_) => "acl",
            Self::Dead(_) => "dead",
            Self::Keys(_) => "keys",
            Self::Users(_) => "users",
            Self::Charger(_) => "charger",
            Self::Log(_) => "log",
            Self::Bench(_) => "bench",
            Self::Doctor(_) => "doctor",
            Self::Backup { .. } => "backup",
            Self::Restore { .. } => "restore",
            Self::Seed(_) => "seed",
            Self::Settings(_) => "settings",
            Self::Simulate(_) => "simulate",
            Self::Openapi { .. } => "openapi",
            Self::Completions { .. } => "completions",
            Self::Man { .. } => "man",
        }
    }

    fn calls_services(&self) -> bool {
        matches!(self, Self::Authorize(_) | Self::Acl(_) | Self::Log(_) | Self::Bench(_) | Self::Doctor(_))
    }

    /// Whether it works even where the settings cannot be read.
    fn needs_no_settings(&self) -> bool {
        matches!(self, Self::Openapi { .. } | Self::Completions { .. } | Self::Man { .. } | Self::Simulate(_))
    }

    /// The `--data` directory, the parts to open, and what to do if they do not exist.
    fn works_on(&self) -> (Option<&Path>, &'static [Part], Missing) {
        match self {
            Self::Up { data } => (data.as_deref(), ALL_PARTS, Missing::Made),
            Self::Settings(_) => (None, ALL_PARTS, Missing::Reported),
            Self::Doctor(args) => (args.data.as_deref(), ALL_PARTS, Missing::Reported),
            Self::Backup { data, .. } => (data.as_deref(), ALL_PARTS, Missing::Refused),
            Self::Dead(args) => (args.data.as_deref(), &[Part::Queue], Missing::Refused),
            Self::Seed(args) => (args.data.as_deref(), &[Part::Database], Missing::Refused),
            Self::Users(args) if args.uses_the_database() => {
                (args.data.as_deref(), &[Part::Database], Missing::Refused)
            }
            Self::Charger(args) => (args.data.as_deref(), &[Part::Database], Missing::Refused),
            Self::Keys(args) => (args.data.as_deref(), &[Part::Store], Missing::Refused),
            _ => (None, &[], Missing::Reported),
        }
    }

    fn services(&self, settings: &Settings) -> Result<Vec<Service>, Failure> {
        let api = |option: &Option<String>| Service::public_api(settings, option.as_deref());
        let acl = |option: &Option<String>| Service::acl(settings, option.as_deref());
        Ok(match self {
            Self::Authorize(args) => vec![api(&args.api)?],
            Self::Log(args) => vec![api(&args.api)?],
            Self::Acl(args) => vec![acl(&args.acl)?],
            Self::Bench(args) => vec![api(&args.api)?, acl(&args.acl)?],
            Self::Doctor(args) => vec![api(&args.api)?, acl(&args.acl)?],
            _ => Vec::new(),
        })
    }
}

async fn simulate(args: SimulateArgs) -> Result<ExitCode, Failure> {
    let stop = shutdown::on_signal().map_err(Failure::broken)?;
    simulator::command::run(args, &stop).await.map_err(|error| Failure::Usage(error.to_string()))
}

fn start(command: Command, settings: &Settings) -> Running<'_> {
    match command {
        Command::Up { .. } => Box::pin(async move { up::run(settings).await.map(|()| ExitCode::SUCCESS) }),
        Command::Demo => Box::pin(async { demo::run(settings).await.map(|()| ExitCode::SUCCESS) }),
        Command::Authorize(args) => Box::pin(authorize::run(settings, args)),
        Command::Acl(args) => Box::pin(acl::run(settings, args)),
        Command::Bench(args) => Box::pin(bench::run(settings, args)),
        Command::Dead(args) => Box::pin(dead::run(settings, args)),
        Command::Doctor(args) => Box::pin(doctor::run(settings, args)),
        Command::Keys(args) => Box::pin(keys::run(settings, args)),
        Command::Users(args) => Box::pin(users::run(settings, args)),
        Command::Charger(args) => Box::pin(charger::run(settings, args)),
        Command::Seed(args) => Box::pin(seed::run(settings, args)),
        Command::Log(args) => Box::pin(log::run(settings, args)),
        Command::Backup { directory, .. } => Box::pin(backup::backup(settings, directory)),
        Command::Restore { backup, data } => Box::pin(backup::restore(backup, data)),
        Command::Simulate(args) => Box::pin(simulate(*args)),
        Command::Settings(args) => Box::pin(async move { Ok(settings::print(settings, &args)) }),
        Command::Openapi { service } => Box::pin(async move {
            let document = match service {
                Documented::PublicApi => public_api::openapi::document(true),
                Documented::AclService => acl_service::openapi::document(),
                Documented::PlatformApi => platform_api::openapi::document(),
            };
            terminal::line(&document.to_pretty_json().map_err(Failure::broken)?);
            Ok(ExitCode::SUCCESS)
        }),
        Command::Completions { shell } => Box::pin(async move {
            manual::completions(shell);
            Ok(ExitCode::SUCCESS)
        }),
        Command::Man { directory } => Box::pin(async move {
            manual::pages(directory.as_deref())?;
            Ok(ExitCode::SUCCESS)
        }),
    }
}
