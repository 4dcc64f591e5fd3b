//! How every program of ours reads its command line. Help and version are printed and end with 0 before anything is opened;
//! what is not understood ends with 64. Few crates depend on this one, as it is built anew with each commit.
#![warn(missing_docs)]

use std::process::ExitCode;

use clap::{Command, Parser};

/// The commit that this was built from, in 12 digits; `unknown` where the build could not find out.
pub const COMMIT: &str = env!("VOLTGATE_COMMIT");

/// What `--version` prints after the program's name.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("VOLTGATE_COMMIT"), ")");

/// As BSD `sysexits.h` has it, and every misuse of ours; clap would say 2.
const USAGE: u8 = 64;

/// The arguments of this process.
///
/// # Errors
/// There is nothing to be done: help, the version, or what was not understood has been printed. The code to exit with.
pub fn parse<Arguments: Parser>() -> Result<Arguments, ExitCode> {
    let command = Arguments::command().version(VERSION).propagate_version(true);
    let matches = command.try_get_matches().map_err(|error| print(&error))?;
    Arguments::from_arg_matches(&matches).map_err(|error| print(&error.format(&mut Arguments::command())))
}

/// Of a program that takes no arguments, as a service: `about` says what it does, and `more` what else is to be known.
///
/// # Errors
/// As of [`parse`].
pub fn without_arguments(name: &'static str, about: &'static str, more: String) -> Result<(), ExitCode> {
    let command = Command::new(name).version(VERSION).about(about).after_help(more);
    command.try_get_matches().map(drop).map_err(|error| print(&error))
}

fn print(error: &clap::Error) -> ExitCode {
    // A reader that is gone, as behind `| head`, is no misuse.
    let _ = error.print();
    // Help and version are errors to clap, though none of the user's.
    ExitCode::from(if error.use_stderr() { USAGE } else { 0 })
}
