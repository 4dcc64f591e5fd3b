//! The process: reads the command line and exits with the command's code.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;
use voltgate::cli::Cli;
use voltgate::run::run;

/// With glibc's allocator, a fifth of a request's cost is allocation, most of it in pieces of more than a kilobyte
/// (`bench/README.md`).
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

#[tokio::main]
async fn main() -> ExitCode {
    match command_line::parse::<Cli>() {
        Ok(cli) => run(cli).await,
        Err(code) => code,
    }
}
