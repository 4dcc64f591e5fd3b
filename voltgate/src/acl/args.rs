//! The command line of `voltgate acl`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Args)]
pub(crate) struct AclArgs {
    #[command(subcommand)]
    pub(crate) command: AclCommand,
    /// acl-service's URL [default: AUTHORIZATION_SERVICE_URL and AUTHORIZATION_SERVICE_PORT]
    #[arg(long, global = true)]
    pub(crate) acl: Option<String>,
    /// Print JSON for machines
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AclCommand {
    /// Put a driver on a station's list
    Allow {
        station: String,
        token: String,
        #[command(flatten)]
        times: TimesArgs,
    },
    /// Take a driver off a station's list
    Deny { station: String, token: String },
    /// Say whether a driver is on a station's list
    #[command(after_help = "Exit code: 0 on the list, 1 not on it")]
    Check { station: String, token: String },
    /// Print a station's list, one driver token a line, with the times of the entry where it has any
    List {
        station: String,
        /// Only tokens with this part, of at least 3 characters
        #[arg(long, conflicts_with = "timed")]
        search: Option<String>,
        /// Only entries with times, also those that are yet to begin
        #[arg(long)]
        timed: bool,
    },
    /// Put many drivers on lists, or take them off: a file, or `-` for standard input
    #[command(
        long_about = "Put many drivers on lists, or take them off: a file, or `-` for standard input.\n\n\
            CSV has a line station_id,driver_token[,from[,until]] for each, or other columns named by a header; NDJSON an \
            object with these fields. Good lines are done, each bad one is named on standard error. A header with a column \
            that is not known ends it.",
        after_help = "Exit code: 0 all lines done, 1 some refused, 65 a header that is not understood"
    )]
    Import {
        file: PathBuf,
        /// Take the drivers off instead
        #[arg(long)]
        remove: bool,
        /// How the file is written [default: ndjson for *.ndjson and *.jsonl, csv otherwise]
        #[arg(long)]
        format: Option<Format>,
    },
    /// Copy a station's list to another station; whoever has an entry there keeps it
    Copy {
        from: String,
        to: String,
        /// Make the other list the same: entries are replaced, and whoever is on the other list only is taken off
        #[arg(long)]
        replace: bool,
    },
    /// See and change groups of stations, and the lists of a whole group
    #[command(subcommand)]
    Group(GroupCommand),
    /// See who changed which list, newest first
    Audit(AuditArgs),
}

/// When an entry holds.
#[derive(Debug, Args)]
pub(crate) struct TimesArgs {
    /// When it begins, as in RFC 3339, such as 2026-12-31T18:00:00Z
    #[arg(long)]
    pub(crate) from: Option<String>,
    /// When it ends
    #[arg(long)]
    pub(crate) until: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Ndjson,
    Csv,
}

#[derive(Debug, Subcommand)]
pub(crate) enum GroupCommand {
    /// Print the names of all groups
    List,
    /// Make a group
    Create { name: String },
    /// Forget a group; the lists of its stations stay as they are
    Delete { name: String },
    /// Say how many stations and drivers a group has
    Show { name: String },
    /// Print the stations of a group
    Stations { name: String },
    /// Print the drivers of a group
    Drivers { name: String },
    /// Take a station into a group; it gets the group's drivers, but for those who have an entry there
    Join { name: String, station: String },
    /// Let a station go; its list stays as it is
    Leave { name: String, station: String },
    /// Put a driver into a group and on the list of each of its stations
    Allow {
        name: String,
        token: String,
        #[command(flatten)]
        times: TimesArgs,
    },
    /// Take a driver out of a group and off the list of each of its stations, whoever admitted it there
    Deny { name: String, token: String },
}

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// Only changes of this station's list
    #[arg(long)]
    pub(crate) station: Option<String>,
    /// Only changes about this driver
    #[arg(long)]
    pub(crate) driver: Option<String>,
    /// Only from this moment on, as in RFC 3339
    #[arg(long)]
    pub(crate) from: Option<String>,
    /// Only before this moment
    #[arg(long)]
    pub(crate) to: Option<String>,
    /// How many entries at most
    #[arg(long, default_value_t = 100)]
    pub(crate) limit: usize,
}
