//! `voltgate completions` and `voltgate man`, both made from the command line itself.

use std::io;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use service_runtime::exit::Failure;

use crate::cli::{Cli, CompletedShell};

/// Prints the completions of a shell.
pub(crate) fn completions(shell: CompletedShell) {
    let shell = match shell {
        CompletedShell::Bash => Shell::Bash,
        CompletedShell::Zsh => Shell::Zsh,
        CompletedShell::Fish => Shell::Fish,
    };
    let mut printed = Vec::new();
    clap_complete::generate(shell, &mut command(), "voltgate", &mut printed);
    // A closed pipe, as with `| head`, is no error.
    let _ = io::Write::write_all(&mut io::stdout(), &printed);
}

/// Prints the page of `voltgate`, or writes the pages of all commands into a directory.
pub(crate) fn pages(directory: Option<&Path>) -> Result<(), Failure> {
    let Some(directory) = directory else {
        let _ = Man::new(command()).render(&mut io::stdout());
        return Ok(());
    };
    let written =
        std::fs::create_dir_all(directory).and_then(|()| clap_mangen::generate_to(command(), directory));
    written.map_err(|error| Failure::Refused(format!("{}: {error}", directory.display())))
}

fn command() -> Command {
    Cli::command().version(command_line::VERSION)
}
