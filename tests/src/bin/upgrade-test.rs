//! `upgrade-test COMMIT [--seconds N]` runs the services of an earlier commit together with ours under load, and prints
//! the expectations that did not hold. It exits with 0 if all held. `make upgrade-test` starts it with its servers.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tests::upgrade::{Earlier, run};

const VIOLATED: u8 = 1;
const UNUSABLE: u8 = 64;

/// Runs an earlier version together with this one, and checks that every request is found, decided and called back
#[derive(Parser)]
struct Arguments {
    /// The earlier version: a commit, a tag or a branch
    commit: String,
    /// Approximate seconds under load
    #[arg(long, default_value_t = 20)]
    seconds: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Arguments = match command_line::parse() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let earlier = match Earlier::build(&arguments.commit) {
        Ok(earlier) => earlier,
        Err(error) => {
            eprintln!("error: {error:#}");
            return ExitCode::from(UNUSABLE);
        }
    };
    let report = run(&earlier, Duration::from_secs(arguments.seconds)).await;
    print!("{report}");
    if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(VIOLATED) }
}
