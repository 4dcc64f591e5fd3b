//! The process: reads the command line and leaves with the command's exit code.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;
use voltgate::cli::Cli;
use voltgate::run::run;

/// glibc takes a fifth of what a request costs, most of it for pieces of more than a kilobyte (`bench/README.md`).
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

#[tokio::main]
async fn main() -> ExitCode {
    match command_line::parse::<Cli>() {
        Ok(cli) => run(cli).await,
        Err(code) => code,
    }
}
