//! The command line: the commands. The arguments of each are with the command.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::acl::args::AclArgs;
use crate::authorize::AuthorizeArgs;
use crate::bench::BenchArgs;
use crate::charger::ChargerArgs;
use crate::dead::DeadArgs;
use crate::doctor::DoctorArgs;
use crate::keys::KeysArgs;
use crate::log::LogArgs;
use crate::seed::SeedArgs;
use crate::settings::SettingsArgs;
use crate::users::UsersArgs;
use simulator::command::SimulateArgs;

/// May this driver charge at this station? Everything in one command.
///
/// Settings come from the environment and from voltgate.toml; docs/configure.md lists them.
#[derive(Debug, Parser)]
#[command(name = "voltgate")]
pub struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// The API key to present to the services [default: VOLTGATE_KEY, which other users of this machine cannot see]
    #[arg(long, global = true)]
    pub(crate) key: Option<String>,
    /// Print on standard error which queue, store and services are used, and where each is configured
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run every service in this process: public-api, acl-service, platform-api and the worker. It needs no server unless
    /// BROKER_URL, REDIS_URL or DATABASE_URL is set
    #[command(after_help = "Example: voltgate up --data /var/lib/voltgate")]
    Up {
        /// The directory of the embedded queue, store and database; excludes BROKER_URL, REDIS_URL and DATABASE_URL
        /// [default: voltgate-data]
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
    },
    /// Start everything in a temporary directory and show one request for each of the four decisions, and a charger
    #[command(after_help = "Example: voltgate demo")]
    Demo,
    /// Request a decision, and show what happens until it is called back
    #[command(after_help = "Exit code with a decision: 0 allowed, 1 not_allowed, 2 unknown, 3 invalid\n\n\
        Example: voltgate authorize 123e4567-e89b-12d3-a456-426614174000 sample-driver-token-0001")]
    Authorize(AuthorizeArgs),
    /// Show and change access lists
    Acl(AclArgs),
    /// List, replay and purge dead letters
    Dead(DeadArgs),
    /// Create, list and revoke API keys
    Keys(KeysArgs),
    /// Create, show, block and erase accounts of the platform, even while its services run
    Users(UsersArgs),
    /// List, show and adopt chargers, and show their messages, even while the services run
    Charger(ChargerArgs),
    /// Show decisions, newest first, or as they are made
    #[command(after_help = "Example: voltgate log --decision unknown --from 2026-11-21T10:00:00Z")]
    Log(LogArgs),
    /// Load a running system, and account for every 202 by its callback
    #[command(
        after_help = "Exit code: 0 no request was refused, lost, duplicated or decided wrongly; 1 otherwise\n\n\
            Example: voltgate bench --rate 500 --duration 30"
    )]
    Bench(BenchArgs),
    /// Check every dependency and setting, and suggest a remedy for each problem
    #[command(after_help = "Exit code: 0 no check fails, warnings are possible; 1 a check fails\n\n\
        Example: voltgate doctor")]
    Doctor(DoctorArgs),
    /// Copy the queue, the store and the database of `voltgate up`, even while it runs, into a directory that is empty or does not
    /// exist
    #[command(after_help = "Example: voltgate backup /backups/2026-11-28")]
    Backup {
        /// The directory for the copies
        directory: PathBuf,
        /// The data directory of `voltgate up` [default: as in BROKER_URL and REDIS_URL, or voltgate-data]
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
    },
    /// Restore a backup into an empty or new directory for `voltgate up`; refuses a directory that is not empty or is
    /// in use
    #[command(after_help = "Example: voltgate restore /backups/2026-11-28 --data restored")]
    Restore {
        /// A directory that `voltgate backup` created
        backup: PathBuf,
        /// The data directory for `voltgate up`
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
    },
    /// Write a believable charging network into the platform's database, even while `voltgate up` runs
    #[command(
        after_help = "A second run with the same seed changes nothing. Ctrl-C leaves whole locations only.\n\n\
        Example: voltgate seed --stations 1000"
    )]
    Seed(SeedArgs),
    /// Charge at a central system of OCPP 1.6J: one charger at the terminal, many by a script, or a load
    #[command(
        after_help = "Exit code: 0 no call failed and the central system broke no rule; 1 otherwise\n\n\
        Example: voltgate simulate --url ws://127.0.0.1:9000/ocpp --charger CP-1\n\
        Example: voltgate simulate --chargers 1000 --sources 8 --seed 7 --minutes 2"
    )]
    Simulate(Box<SimulateArgs>),
    /// Print the table of all settings, or what is in force here
    #[command(after_help = "Example: voltgate settings --effective")]
    Settings(SettingsArgs),
    /// Print the OpenAPI document of a service
    #[command(after_help = "Example: voltgate openapi public-api > public-api.json")]
    Openapi {
        /// The service
        service: Documented,
    },
    /// Print the completions of a shell
    #[command(
        after_help = "Example: voltgate completions bash > /usr/share/bash-completion/completions/voltgate"
    )]
    Completions {
        /// The shell
        shell: CompletedShell,
    },
    /// Print the manual page of this command, or write those of all commands into a directory
    #[command(after_help = "Example: voltgate man | man -l -")]
    Man {
        /// Write voltgate.1 and a page for each command into this directory
        #[arg(long, value_name = "DIR")]
        directory: Option<PathBuf>,
    },
}

/// The shells for which there are completions.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum CompletedShell {
    Bash,
    Zsh,
    Fish,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Documented {
    PublicApi,
    AclService,
    PlatformApi,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// Each command without commands of its own, by its whole name.
    fn leaves(command: &clap::Command, name: &str) -> Vec<(String, clap::Command)> {
        let below = command.get_subcommands().filter(|each| each.get_name() != "help");
        let below: Vec<_> =
            below.flat_map(|each| leaves(each, &format!("{name} {}", each.get_name()))).collect();
        if below.is_empty() { vec![(name.to_owned(), command.clone())] } else { below }
    }

    #[test]
    fn the_help_of_each_command_explains_every_argument_and_has_an_example() {
        for (name, command) in leaves(&Cli::command(), "voltgate") {
            assert!(command.get_about().is_some(), "{name} has no description");
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{name}: {} is not explained", argument.get_id());
            }
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(after.contains(&format!("Example: {name}")), "{name} has no example");
        }
    }

    #[test]
    fn the_definition_of_the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
