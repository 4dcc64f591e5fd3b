//! The process: reads the command line and leaves with the command's exit code.

use std::process::ExitCode;

use clap::Parser;
use tikv_jemallocator::Jemalloc;
use voltgate::cli::{Cli, run};

/// glibc takes a fifth of what a request costs, most of it for pieces of more than a kilobyte (`bench/README.md`).
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

#[tokio::main]
async fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => run(cli).await,
        Err(error) => {
            let _ = error.print();
            // clap would say 2; 64 is what every other misuse of ours ends with. Help and version are no misuse.
            ExitCode::from(if error.use_stderr() { common::exit::USAGE } else { 0 })
        }
    }
}
