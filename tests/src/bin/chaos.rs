//! `chaos [--seed N] [--seconds N] [--chargers N] [--json]` runs the fault suite, or that of chargers, on private servers and
//! prints what it found. It exits with 0 if nothing was violated.

use std::fmt::Display;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use serde_json::Value;
use test_servers::packages;
use tests::{chaos, charger_chaos};
use tokio::signal::unix::{SignalKind, signal};

const VIOLATED: u8 = 1;
const UNAVAILABLE: u8 = 69;
const INTERRUPTED: u8 = 130;

/// Injects faults from a seed under load, and accounts for every 202, or for every transaction of a charger
#[derive(Parser)]
struct Arguments {
    /// Repeats the faults and choices of an earlier run; random by default
    #[arg(long)]
    seed: Option<u64>,
    /// How long faults are injected
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// Approximate requests per second
    #[arg(long, default_value_t = 40)]
    rate: u32,
    /// Lets this many chargers charge, instead of sending requests
    #[arg(long, value_name = "COUNT")]
    chargers: Option<u32>,
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
    if let Err(error) = tokio::task::block_in_place(packages::install_missing) {
        eprintln!("chaos: {error:#}");
        return ExitCode::from(UNAVAILABLE);
    }
    tokio::select! {
        code = run(&arguments) => code,
        // Every process that was started is killed with this one.
        () = interrupted() => ExitCode::from(INTERRUPTED),
    }
}

async fn run(arguments: &Arguments) -> ExitCode {
    let (seed, progress) = (arguments.seed.unwrap_or_else(random_seed), true);
    let length = Duration::from_secs(arguments.seconds);
    match arguments.chargers {
        None => {
            let plan = chaos::Plan { seed, length, rate: arguments.rate, progress };
            let report = chaos::run(plan).await;
            show(arguments, report.is_clean(), || report.to_json(), &report)
        }
        Some(chargers) => {
            let report = charger_chaos::run(charger_chaos::Plan { seed, length, chargers, progress }).await;
            show(arguments, report.is_clean(), || report.to_json(), &report)
        }
    }
}

fn show(
    arguments: &Arguments,
    is_clean: bool,
    to_json: impl Fn() -> Value,
    report: &dyn Display,
) -> ExitCode {
    if arguments.json {
        println!("{:#}", to_json());
    } else {
        print!("{report}");
    }
    if is_clean { ExitCode::SUCCESS } else { ExitCode::from(VIOLATED) }
}

/// Short enough to be copied by hand.
fn random_seed() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().1 % 1_000_000
}

async fn interrupted() {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
