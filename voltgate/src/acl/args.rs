//! The command line of `voltgate acl`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Args)]
pub(crate) struct AclArgs {
    #[command(subcommand)]
    pub(crate) command: AclCommand,
    /// acl-service's URL [default: AUTHORIZATION_SERVICE_URL and AUTHORIZATION_SERVICE_PORT]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) acl: Option<String>,
    /// Print JSON for machines
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AclCommand {
    /// Admit a driver at a station
    #[command(
        after_help = "Example: voltgate acl allow 123e4567-e89b-12d3-a456-426614174000 sample-driver-token-0001 --until 2027-01-01T00:00:00Z"
    )]
    Allow {
        /// The station, a UUID
        station: String,
        /// The driver token
        token: String,
        #[command(flatten)]
        times: TimesArgs,
    },
    /// Remove a driver from a station's list
    #[command(
        after_help = "Example: voltgate acl deny 123e4567-e89b-12d3-a456-426614174000 sample-driver-token-0001"
    )]
    Deny {
        /// The station, a UUID
        station: String,
        /// The driver token
        token: String,
    },
    /// Check whether a driver may charge at a station
    #[command(after_help = "Exit code: 0 allowed, 1 not allowed\n\n\
        Example: voltgate acl check 123e4567-e89b-12d3-a456-426614174000 sample-driver-token-0001")]
    Check {
        /// The station, a UUID
        station: String,
        /// The driver token
        token: String,
    },
    /// Print a station's list, one driver token a line, with the entry's validity period if it has one
    #[command(after_help = "Example: voltgate acl list 123e4567-e89b-12d3-a456-426614174000 --search 0001")]
    List {
        /// The station, a UUID
        station: String,
        /// Only tokens that contain this text of at least 3 characters
        #[arg(long, conflicts_with = "timed")]
        search: Option<String>,
        /// Only entries with a validity period, including those that have yet to begin
        #[arg(long)]
        timed: bool,
    },
    /// Admit or remove many drivers, from a file or from standard input (`-`)
    #[command(
        long_about = "Admit or remove many drivers, from a file or from standard input (`-`).\n\n\
            CSV has one line station_id,driver_token[,from[,until]] for each, or other columns named by a header; NDJSON has one \
            object with these fields for each. Valid lines are applied; invalid ones are reported on standard error. A header with \
            an unknown column ends the import.",
        after_help = "Exit code: 0 all lines applied, 1 some lines refused, 65 invalid header, 130 interrupted\n\n\
            Example: voltgate acl import drivers.csv --refused refused.csv"
    )]
    Import(ImportArgs),
    /// Copy a station's list to another station; existing entries there are kept
    #[command(
        after_help = "Example: voltgate acl copy 123e4567-e89b-12d3-a456-426614174000 123e4567-e89b-12d3-a456-426614174001"
    )]
    Copy {
        /// The station whose list is copied
        from: String,
        /// The station that gets the entries
        to: String,
        /// Make the other list the same: replace its entries and remove those that are not on the copied list
        #[arg(long)]
        replace: bool,
    },
    /// Show and change groups of stations, and the lists of a whole group
    #[command(subcommand)]
    Group(GroupCommand),
    /// Print the public stations, where every member may charge
    #[command(after_help = "Example: voltgate acl public")]
    Public,
    /// Print the members, one driver token a line, with the end of the membership if it has one
    #[command(after_help = "Example: voltgate acl members")]
    Members,
    /// Show the changes of access lists, public stations and members, newest first
    #[command(after_help = "Example: voltgate acl audit --driver sample-driver-token-0001")]
    Audit(AuditArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The file; `-` is standard input
    pub(crate) file: PathBuf,
    /// Remove the drivers instead
    #[arg(long)]
    pub(crate) remove: bool,
    /// The file's format [default: ndjson for *.ndjson, *.jsonl and lines that begin with a brace, csv otherwise]
    #[arg(long)]
    pub(crate) format: Option<Format>,
    /// Only check the lines; change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Write the refused lines to this file, each below its reason; once corrected, it can be imported
    #[arg(long, value_name = "FILE")]
    pub(crate) refused: Option<PathBuf>,
}

/// An entry's validity period.
#[derive(Debug, Args)]
pub(crate) struct TimesArgs {
    /// When the entry begins, in RFC 3339, such as 2026-12-31T18:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// When the entry ends
    #[arg(long, value_name = "TIME")]
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
    #[command(after_help = "Example: voltgate acl group list")]
    List,
    /// Create a group
    #[command(after_help = "Example: voltgate acl group create north")]
    Create {
        /// The group
        name: String,
    },
    /// Delete a group; the lists of its stations are unchanged
    #[command(after_help = "Example: voltgate acl group delete north")]
    Delete {
        /// The group
        name: String,
    },
    /// Show how many stations and drivers a group has
    #[command(after_help = "Example: voltgate acl group show north")]
    Show {
        /// The group
        name: String,
    },
    /// Print the stations of a group
    #[command(after_help = "Example: voltgate acl group stations north")]
    Stations {
        /// The group
        name: String,
    },
    /// Print the drivers of a group
    #[command(after_help = "Example: voltgate acl group drivers north")]
    Drivers {
        /// The group
        name: String,
    },
    /// Add a station to a group; the group's drivers are added to its list, existing entries are unchanged
    #[command(after_help = "Example: voltgate acl group join north 123e4567-e89b-12d3-a456-426614174000")]
    Join {
        /// The group
        name: String,
        /// The station, a UUID
        station: String,
    },
    /// Remove a station from a group; its list is unchanged
    #[command(after_help = "Example: voltgate acl group leave north 123e4567-e89b-12d3-a456-426614174000")]
    Leave {
        /// The group
        name: String,
        /// The station, a UUID
        station: String,
    },
    /// Add a driver to a group and to the list of each of its stations
    #[command(after_help = "Example: voltgate acl group allow north sample-driver-token-0001")]
    Allow {
        /// The group
        name: String,
        /// The driver token
        token: String,
        #[command(flatten)]
        times: TimesArgs,
    },
    /// Remove a driver from a group and from the list of each of its stations, however it came there
    #[command(after_help = "Example: voltgate acl group deny north sample-driver-token-0001")]
    Deny {
        /// The group
        name: String,
        /// The driver token
        token: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// Only changes of this station's list
    #[arg(long, value_name = "UUID")]
    pub(crate) station: Option<String>,
    /// Only changes about this driver
    #[arg(long, value_name = "TOKEN")]
    pub(crate) driver: Option<String>,
    /// Only changes at this moment or later, in RFC 3339
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// Only changes before this moment
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<String>,
    /// The maximum number of entries
    #[arg(long, default_value_t = 100)]
    pub(crate) limit: usize,
}
