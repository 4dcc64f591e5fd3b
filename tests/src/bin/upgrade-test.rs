//! `upgrade-test COMMIT [--seconds N]` runs the services of an earlier commit beside ours under load and says what did not
//! hold; 0 when all did. `make upgrade-test` starts it with its servers.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tests::upgrade::{Earlier, run};

const VIOLATED: u8 = 1;
const UNUSABLE: u8 = 64;

/// An earlier version and this one beside each other: every request is found, decided and called back.
#[derive(Parser)]
struct Arguments {
    /// The earlier version: a commit, a tag or a branch
    commit: String,
    /// How long they run under load, about
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
