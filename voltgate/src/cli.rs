//! The command line: the commands and their arguments.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use common::api_key::{KeyId, Scopes};

use crate::acl::args::AclArgs;
use crate::keys::Expiry;
use crate::{bench, log};

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
    Log(log::LogArgs),
    /// Load a running system, and account for every 202 by its callback
    #[command(
        after_help = "Exit code: 0 no request was refused, lost, duplicated or decided wrongly; 1 otherwise"
    )]
    Bench(bench::BenchArgs),
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

#[derive(Debug, Args)]
pub(crate) struct AuthorizeArgs {
    /// The station, a UUID
    pub(crate) station: String,
    /// The driver token
    pub(crate) token: String,
    /// Send the decision to this URL instead of waiting for it
    #[arg(long)]
    pub(crate) callback_url: Option<String>,
    /// How many seconds to wait for the decision
    #[arg(long, default_value_t = 65, conflicts_with = "callback_url")]
    pub(crate) wait: u64,
    /// public-api's URL [default: http://127.0.0.1:PUBLIC_API_PORT, https://localhost with TLS_CERT_FILE]
    #[arg(long)]
    pub(crate) api: Option<String>,
    /// Print JSON for machines
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DeadArgs {
    #[command(subcommand)]
    pub(crate) command: DeadCommand,
    /// The data directory of `voltgate up` [default: as in BROKER_URL, or voltgate-data if it exists]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Print JSON for machines
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// public-api's URL [default: http://127.0.0.1:PUBLIC_API_PORT, https://localhost with TLS_CERT_FILE]
    #[arg(long)]
    pub(crate) api: Option<String>,
    /// acl-service's URL [default: AUTHORIZATION_SERVICE_URL and AUTHORIZATION_SERVICE_PORT]
    #[arg(long)]
    pub(crate) acl: Option<String>,
    /// The data directory of `voltgate up` [default: as in BROKER_URL and REDIS_URL, or voltgate-data if it exists]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Print JSON for machines
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadCommand {
    /// List dead letters
    List(DeadFilter),
    /// Show one dead letter with all its headers
    #[command(after_help = "Exit code: 0 found, 1 not found")]
    Show { id: String },
    /// Return dead letters to the queue they came from, under the same id
    Replay(DeadFilter),
    /// Remove dead letters permanently
    Purge(DeadFilter),
}

#[derive(Debug, Args)]
pub(crate) struct DeadFilter {
    /// Only the dead letter of this request or task
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// Only dead letters with this reason, such as `callback_exhausted`
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// Only dead letters about this host
    #[arg(long)]
    pub(crate) host: Option<String>,
    /// Only those that were dead-lettered at least this many seconds ago
    #[arg(long, value_name = "SECONDS")]
    pub(crate) older_than: Option<u64>,
    /// All dead letters; replay and purge require this or a filter
    #[arg(long)]
    pub(crate) all: bool,
    /// The maximum number of dead letters to examine in each queue
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) limit: u16,
}

#[derive(Debug, Args)]
pub(crate) struct KeysArgs {
    #[command(subcommand)]
    pub(crate) command: KeysCommand,
    /// The data directory of `voltgate up` [default: as in REDIS_URL, or voltgate-data if it exists]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Print JSON for machines
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Create a key and print it; it cannot be shown again
    Create {
        /// The key's owner or purpose
        #[arg(long)]
        name: String,
        /// The key's scopes: authorize, read, acl, admin; several separated by commas
        #[arg(long)]
        scope: Scopes,
        /// When the key expires: 90d, 12h, 30m, or a timestamp such as 2027-01-31T00:00:00Z
        #[arg(long)]
        expires: Option<Expiry>,
    },
    /// List all keys, without their secrets
    List,
    /// Revoke a key; the services may accept it for up to five seconds more
    #[command(after_help = "Exit code: 0 revoked, 1 there is no such key")]
    Revoke { id: KeyId },
}

impl DeadFilter {
    /// Matches every dead letter.
    pub(crate) fn everything() -> Self {
        Self { id: None, reason: None, host: None, older_than: None, all: true, limit: 10_000 }
    }

    /// Whether no filter is set.
    pub(crate) fn is_empty(&self) -> bool {
        self.id.is_none() && self.reason.is_none() && self.host.is_none() && self.older_than.is_none()
    }
}
