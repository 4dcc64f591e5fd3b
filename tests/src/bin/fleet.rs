//! `fleet [--seed N] [--requests N] [--queue-type quorum|classic] [--json]` runs a mixed fleet whose workers
//! are killed at random, and prints the outcome of the calls. It exits with 0 if nothing was violated. `make
//! fleet` starts it with its servers.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tests::fleet::{Plan, QueueType, run};

const VIOLATED: u8 = 1;

/// Runs a Python worker and one of ours on one queue, kills both at random, and checks every callback
#[derive(Parser)]
struct Arguments {
    /// Repeats the kill times of an earlier run; random by default
    #[arg(long)]
    seed: Option<u64>,
    /// Number of calls
    #[arg(long, default_value_t = 10_000)]
    requests: usize,
    /// Approximate calls per second
    #[arg(long, default_value_t = 60)]
    rate: u32,
    /// Type of the shared queue
    #[arg(long, default_value = "quorum")]
    queue_type: QueueType,
    /// Prints the result as JSON
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Arguments = match command_line::parse() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let plan = Plan {
        // Short enough to be copied by hand.
        seed: arguments.seed.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().1 % 1_000_000),
        requests: arguments.requests,
        rate: arguments.rate,
        queue_type: arguments.queue_type,
        life: Duration::from_secs(8),
        progress: true,
    };
    eprintln!("fleet: seed {}, {} calls, {} queue", plan.seed, plan.requests, plan.queue_type.name());
    let report = run(plan).await;
    if arguments.json {
        println!("{:#}", report.to_json());
    } else {
        print!("{report}");
    }
    if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(VIOLATED) }
}
