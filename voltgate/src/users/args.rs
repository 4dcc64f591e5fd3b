//! The arguments of `voltgate users`.

use std::path::PathBuf;

use charging::accounts::{Reason, Username};
use clap::{Args, Subcommand};
use common::role::Role;
use uuid::Uuid;

#[derive(Debug, Args)]
pub(crate) struct UsersArgs {
    #[command(subcommand)]
    pub(crate) command: UsersCommand,
    /// The data directory of `voltgate up` [default: as in DATABASE_URL, or voltgate-data if it exists]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Print JSON for machines
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

impl UsersArgs {
    /// Whether the command needs the database.
    pub(crate) fn uses_the_database(&self) -> bool {
        !matches!(self.command, UsersCommand::Retention)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum UsersCommand {
    /// Create an account; the password is asked for, read or generated
    #[command(after_help = "Exit code: 0 created, 65 refused, such as a name that is taken\n\n\
        Example: voltgate users create --admin ada --generate\n\
        Example: voltgate users create grace --password-stdin < password.txt")]
    Create(CreateArgs),
    /// List accounts, by id
    #[command(after_help = "Example: voltgate users list --role admin")]
    List {
        /// Only accounts with this role: driver, host, staff, operator or admin
        #[arg(long)]
        role: Option<Role>,
        /// Only accounts whose name or verified address begins so
        #[arg(long, value_name = "TEXT")]
        begins: Option<String>,
    },
    /// Show an account with its roles and its sign-ins
    #[command(
        after_help = "Exit code: 0 found, 65 there is no such account\n\nExample: voltgate users show ada"
    )]
    Show {
        /// The account's name, verified address or id
        user: String,
    },
    /// Block an account: it is signed out everywhere, and its tokens are blocked
    #[command(after_help = "Example: voltgate users block ada --reason 'stolen phone'")]
    Block {
        /// The account's name, verified address or id
        user: String,
        /// Why, for the audit trail
        #[arg(long)]
        reason: Reason,
    },
    /// Unblock an account
    #[command(after_help = "Example: voltgate users unblock ada --reason 'new phone'")]
    Unblock {
        /// The account's name, verified address or id
        user: String,
        /// Why, for the audit trail
        #[arg(long)]
        reason: Reason,
    },
    /// Replace the roles of an account; that of a driver remains
    #[command(after_help = "Example: voltgate users roles ada --role operator\n\
        Example: voltgate users roles ada --role staff --location 01a1fdc4-3193-72e3-bff0-3fbc4117778f")]
    Roles {
        /// The account's name, verified address or id
        user: String,
        /// A role: driver, host, staff, operator or admin; may be repeated
        #[arg(long, required = true)]
        role: Vec<Role>,
        /// A location where the roles host and staff hold, by its id; may be repeated
        #[arg(long, value_name = "ID")]
        location: Vec<Uuid>,
        /// Why, for the audit trail
        #[arg(long)]
        reason: Option<Reason>,
    },
    /// Remove the second factor of an account whose owner has lost it
    #[command(
        after_help = "Example: voltgate users reset-second-factor ada --reason 'lost phone, identity checked'"
    )]
    ResetSecondFactor {
        /// The account's name, verified address or id
        user: String,
        /// Why, for the audit trail
        #[arg(long)]
        reason: Reason,
    },
    /// End all sign-ins of an account
    #[command(after_help = "Example: voltgate users sign-out ada")]
    SignOut {
        /// The account's name, verified address or id
        user: String,
    },
    /// Erase an account, or the accounts of a list again after a restore
    #[command(
        after_help = "Exit code: 0 erased, 1 some of a list could not be erased, 65 refused, such as something open\n\n\
        Example: voltgate users erase ada --reason 'asked by letter on 2026-11-28'\n\
        Example: voltgate users erase --again erased.ndjson"
    )]
    Erase {
        /// The account's name, verified address or id
        #[arg(required_unless_present = "again", requires = "reason")]
        user: Option<String>,
        /// Why, for the audit trail, where it stays: without names
        #[arg(long)]
        reason: Option<Reason>,
        /// A file with the output of `voltgate users erased --json`
        #[arg(long, value_name = "FILE", conflicts_with_all = ["user", "reason"])]
        again: Option<PathBuf>,
    },
    /// List the ids of erased accounts, to keep beside backups
    #[command(after_help = "Example: voltgate users erased --json > erased.ndjson")]
    Erased,
    /// Print the table of what is stored about people, and for how long
    #[command(after_help = "Example: voltgate users retention")]
    Retention,
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// The account's name
    pub(crate) username: Username,
    /// With the role of an administrator
    #[arg(long)]
    pub(crate) admin: bool,
    /// Read the password from standard input, up to the end of its first line
    #[arg(long)]
    pub(crate) password_stdin: bool,
    /// Generate a password and print it, once
    #[arg(long, conflicts_with = "password_stdin")]
    pub(crate) generate: bool,
}
