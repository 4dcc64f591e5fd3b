//! The command line: which commands there are and what each is handed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use common::api_key::{KeyId, Scopes};

use crate::acl::args::AclArgs;
use crate::keys::Expiry;
use crate::{bench, log};

/// May this driver charge at this station? Everything in one command.
///
/// Settings come from the environment and from voltgate.toml; docs/configure.md has the table.
#[derive(Debug, Parser)]
#[command(name = "voltgate")]
pub struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// The API key to present to the services [default: VOLTGATE_KEY, which other users of this machine cannot see]
    #[arg(long, global = true)]
    pub(crate) key: Option<String>,
    /// Say on standard error which queue, store and services are used, and what names them
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run acl-service, worker and public-api in this process; without BROKER_URL and REDIS_URL no server is needed
    Up {
        /// Where the embedded queue and store are kept; not beside BROKER_URL or REDIS_URL [default: voltgate-data]
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
    },
    /// Start everything in a temporary directory and show one request for each of the four decisions
    Demo,
    /// Ask whether a driver may charge; waits for the decision unless a callback URL is given
    #[command(after_help = "Exit code with a decision: 0 allowed, 1 not_allowed, 2 unknown, 3 invalid")]
    Authorize(AuthorizeArgs),
    /// See and change access lists
    Acl(AclArgs),
    /// See, replay and purge dead letters
    Dead(DeadArgs),
    /// Create, list and revoke API keys
    Keys(KeysArgs),
    /// See what was decided, newest first, or as it is decided
    Log(log::LogArgs),
    /// Load a running system, and account for every 202 by its callback
    #[command(
        after_help = "Exit code: 0 nothing was refused, lost, doubled or decided wrongly; 1 something was"
    )]
    Bench(bench::BenchArgs),
    /// Look at every dependency and setting, and say what to do about what is wrong
    #[command(after_help = "Exit code: 0 nothing fails, though there may be warnings; 1 something fails")]
    Doctor(DoctorArgs),
    /// Copy the queue and the store of `voltgate up`, also while it runs, into a directory that is empty or does not exist
    Backup {
        /// Where the copies are put
        directory: PathBuf,
        /// Where `voltgate up` keeps its queue and store [default: what BROKER_URL and REDIS_URL say, or voltgate-data]
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
    },
    /// Put a backup into a directory for `voltgate up`; one that holds anything, or is worked with, is refused
    Restore {
        /// What `voltgate backup` has made
        backup: PathBuf,
        /// Where `voltgate up` will keep its queue and store
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
    /// Send the decision there instead of waiting for it here
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
    /// Where `voltgate up` keeps its queue [default: what BROKER_URL says, or voltgate-data where that exists]
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
    /// Where `voltgate up` keeps its queue and store [default: what BROKER_URL and REDIS_URL say, or voltgate-data where
    /// that exists]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Print JSON for machines
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadCommand {
    /// List them
    List(DeadFilter),
    /// Show one with all its headers
    #[command(after_help = "Exit code: 0 found, 1 not found")]
    Show { id: String },
    /// Put them back into the queue they came from, under the same id
    Replay(DeadFilter),
    /// Remove them for good
    Purge(DeadFilter),
}

#[derive(Debug, Args)]
pub(crate) struct DeadFilter {
    /// Only the one of this request or task
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// Only those with this reason, such as `callback_exhausted`
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// Only those about this host
    #[arg(long)]
    pub(crate) host: Option<String>,
    /// Only those that have been dead for so many seconds
    #[arg(long, value_name = "SECONDS")]
    pub(crate) older_than: Option<u64>,
    /// All of them; replay and purge want this or a filter
    #[arg(long)]
    pub(crate) all: bool,
    /// How many letters of each queue to look at
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) limit: u16,
}

#[derive(Debug, Args)]
pub(crate) struct KeysArgs {
    #[command(subcommand)]
    pub(crate) command: KeysCommand,
    /// Where `voltgate up` keeps its store [default: what REDIS_URL says, or voltgate-data where that exists]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Print JSON for machines
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key and print it, once and never again
    Create {
        /// Whose it is, or what it is for
        #[arg(long)]
        name: String,
        /// What it is good for: authorize, read, acl, admin; several with commas between them
        #[arg(long)]
        scope: Scopes,
        /// When it ends: 90d, 12h, 30m, or a moment such as 2027-01-31T00:00:00Z
        #[arg(long)]
        expires: Option<Expiry>,
    },
    /// List all keys, without their secrets
    List,
    /// End a key; the services let it in for five seconds more at most
    #[command(after_help = "Exit code: 0 revoked, 1 there is no such key")]
    Revoke { id: KeyId },
}

impl DeadFilter {
    /// Fits every letter.
    pub(crate) fn everything() -> Self {
        Self { id: None, reason: None, host: None, older_than: None, all: true, limit: 10_000 }
    }

    /// Whether it leaves nothing out.
    pub(crate) fn is_empty(&self) -> bool {
        self.id.is_none() && self.reason.is_none() && self.host.is_none() && self.older_than.is_none()
    }
}
