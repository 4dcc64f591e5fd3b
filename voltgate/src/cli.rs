//! The command line: the commands. The arguments of each are with the command.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::acl::args::AclArgs;
use crate::authorize::AuthorizeArgs;
use crate::bench::BenchArgs;
use crate::dead::DeadArgs;
use crate::doctor::DoctorArgs;
use crate::keys::KeysArgs;
use crate::log::LogArgs;

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
    /// Run acl-service, worker and public-api in this process; needs no server unless BROKER_URL or REDIS_URL is set
    Up {
        /// The directory of the embedded queue and store; excludes BROKER_URL and REDIS_URL [default: voltgate-data]
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
    },
    /// Start everything in a temporary directory and show one request for each of the four decisions
    Demo,
    /// Request a decision; waits for it unless a callback URL is given
    #[command(after_help = "Exit code with a decision: 0 allowed, 1 not_allowed, 2 unknown, 3 invalid")]
    Authorize(AuthorizeArgs),
    /// Show and change access lists
    Acl(AclArgs),
    /// List, replay and purge dead letters
    Dead(DeadArgs),
    /// Create, list and revoke API keys
    Keys(KeysArgs),
    /// Show decisions, newest first, or as they are made
    Log(LogArgs),
    /// Load a running system, and account for every 202 by its callback
    #[command(
        after_help = "Exit code: 0 no request was refused, lost, duplicated or decided wrongly; 1 otherwise"
    )]
    Bench(BenchArgs),
    /// Check every dependency and setting, and suggest a remedy for each problem
    #[command(after_help = "Exit code: 0 no check fails, warnings are possible; 1 a check fails")]
    Doctor(DoctorArgs),
    /// Copy the queue and the store of `voltgate up`, even while it runs, into a directory that is empty or does not
    /// exist
    Backup {
        /// The directory for the copies
        directory: PathBuf,
        /// The data directory of `voltgate up` [default: as in BROKER_URL and REDIS_URL, or voltgate-data]
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
    },
    /// Restore a backup into an empty or new directory for `voltgate up`; refuses a directory that is not empty or is
    /// in use
    Restore {
        /// A directory that `voltgate backup` created
        backup: PathBuf,
        /// The data directory for `voltgate up`
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
    },
    /// Print the table of all settings, as Markdown
    Settings,
    /// Print the OpenAPI document of a service
    Openapi { service: Documented },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Documented {
    PublicApi,
    AclService,
}
