//! `hot-pieces PIECE TIMES` does a piece so often, for valgrind to count; without arguments it counts all of them and prints
//! the baseline that is kept in `bench/hot-pieces.json`.

use std::process::ExitCode;

use anyhow::Result;
use bench::hot_pieces::{count, work};
use clap::Parser;

/// Counts the instructions of the pieces that are run most often, and prints the baseline.
#[derive(Debug, Parser)]
struct Arguments {
    /// Do this one only, for valgrind to count
    #[arg(requires = "times")]
    piece: Option<String>,
    /// How often
    times: Option<u64>,
}

fn main() -> Result<ExitCode> {
    let arguments: Arguments = match command_line::parse() {
        Ok(arguments) => arguments,
        Err(code) => return Ok(code),
    };
    match (arguments.piece, arguments.times) {
        (Some(piece), Some(times)) => work(&piece, times)?,
        _ => println!("{}", serde_json::to_string_pretty(&count(&std::env::current_exe()?)?)?),
    }
    Ok(ExitCode::SUCCESS)
}
