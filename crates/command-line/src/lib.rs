//! How every program of ours reads its command line. Help and version are printed before anything is
//! opened, and the program exits with 0; invalid arguments exit with 64. Few crates depend on this one,
//! because it is rebuilt for each commit.
#![warn(missing_docs)]

use std::process::ExitCode;

use clap::{Command, Parser};

/// The commit that this was built from, in 12 digits; `unknown` if the build could not determine it.
pub const COMMIT: &str = env!("VOLTGATE_COMMIT");

/// What `--version` prints after the program's name.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("VOLTGATE_COMMIT"), ")");

/// `EX_USAGE` of BSD `sysexits.h`, which we return for every usage error; clap's own code is 2.
const USAGE: u8 = 64;

/// Parses the arguments of this process.
///
/// # Errors
/// Returns the code to exit with. Help, the version or the usage error is already printed.
pub fn parse<Arguments: Parser>() -> Result<Arguments, ExitCode> {
    let command = Arguments::command().version(VERSION).propagate_version(true);
    let matches = command.try_get_matches().map_err(|error| print(&error))?;
    Arguments::from_arg_matches(&matches).map_err(|error| print(&error.format(&mut Arguments::command())))
}

/// Parses the command line of a program without arguments, such as a service. `about` says what it does, and `more`
/// follows in the help.
///
/// # Errors
/// Same as [`parse`].
pub fn without_arguments(name: &'static str, about: &'static str, more: String) -> Result<(), ExitCode> {
    let command = Command::new(name).version(VERSION).about(about).after_help(more);
    command.try_get_matches().map(drop).map_err(|error| print(&error))
}

fn print(error: &clap::Error) -> ExitCode {
    // A closed pipe, as with `| head`, is not a usage error.
    let _ = error.print();
    // clap returns help and version as errors too.
    ExitCode::from(if error.use_stderr() { USAGE } else { 0 })
}
