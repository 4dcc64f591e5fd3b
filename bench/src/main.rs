//! `bench`: measures everything in one run, or one scenario. `make bench` builds and runs it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use bench::bare;
use bench::scenario::backlog::backlog;
use bench::scenario::everything::{PREFETCH, everything};
use bench::scenario::hosts::hosts;
use bench::scenario::ocpp;
use bench::scenario::platform::{self, Size};
use bench::scenario::profile::profile;
use bench::scenario::skeleton::skeleton;
use bench::scenario::workers::workers;
use bench::servers::Servers;
use bench::system::python::{Sizes, reference};
use bench::system::voltgate::{Form, services};
use bench::throughput::{Effort, Load, Measured, full_load, measure};
use clap::{Parser, Subcommand};
use load_generator::Drivers;

/// Measures Voltgate, the bare broker and a Python system on private servers.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Length of each phase in seconds
    #[arg(long, global = true, default_value_t = 10.0)]
    seconds: f64,
    /// Number of requests in flight at full load
    #[arg(long, global = true, default_value_t = 400)]
    in_flight: usize,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The bare broker, the skeleton, Voltgate, the Python reference and the embedded form, compared with the targets
    All {
        /// Number of rounds; the medians count
        #[arg(long, default_value_t = 1)]
        rounds: usize,
        /// Directory for the results
        #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/results"))]
        results: PathBuf,
    },
    /// The bare broker only
    Bare {
        /// The consumer's prefetch
        #[arg(long, default_value_t = PREFETCH)]
        prefetch: u16,
    },
    /// The bare broker and Voltgate on the same servers, and their ratio
    Throughput,
    /// The bare broker, the bare steps of a request with the same libraries, and Voltgate
    Skeleton,
    /// The Python reference only
    Python {
        /// Number of gunicorn processes, for the API and for the access lists each
        #[arg(long, default_value_t = Sizes::default().processes)]
        processes: u16,
        /// Number of threads of each of them
        #[arg(long, default_value_t = Sizes::default().threads)]
        threads: u16,
        /// Number of processes in Celery's pool
        #[arg(long, default_value_t = Sizes::default().pool)]
        pool: u16,
    },
    /// Throughput and memory of a worker with few and with many waiting tasks
    Backlog {
        /// The small number of tasks
        #[arg(long, default_value_t = 1_000)]
        few: u64,
        /// The large number of tasks
        #[arg(long, default_value_t = 1_000_000)]
        many: u64,
    },
    /// CPU time of a request by component and library; needs Linux's `perf`
    Profile {
        /// Directory for `profile.md`
        #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/results"))]
        results: PathBuf,
    },
    /// The charging platform with many stations, on SQLite and on PostgreSQL: queries, and live streams
    Platform {
        /// Number of stations
        #[arg(long, default_value_t = 100_000)]
        stations: u32,
        /// Number of requests of each kind
        #[arg(long, default_value_t = 1_000)]
        requests: usize,
        /// Number of live streams
        #[arg(long, default_value_t = 1_000)]
        streams: usize,
        /// Directory for `platform.md` and `platform.json`
        #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/results"))]
        results: PathBuf,
    },
    /// ocpp-gateway beside a ceiling with fixed answers and npm ocpp-rpc: sockets, calls, storms, sessions, commands
    Ocpp {
        /// Number of sockets
        #[arg(long, default_value_t = 10_000)]
        sockets: u32,
        /// New sockets a second
        #[arg(long, default_value_t = 1500.0)]
        rate: f64,
        /// Number of loopback addresses that they come from
        #[arg(long, default_value_t = 4)]
        sources: u8,
        /// Seconds to hold the sockets
        #[arg(long, default_value_t = 60.0)]
        hold: f64,
        /// Seconds of the soak
        #[arg(long, default_value_t = 60.0)]
        soak: f64,
        /// Number of rounds; the medians count
        #[arg(long, default_value_t = 3)]
        rounds: usize,
        /// Measure PyPI ocpp too; it is slow
        #[arg(long)]
        python: bool,
        /// Directory for `ocpp.md` and `ocpp.json`
        #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/results"))]
        results: PathBuf,
    },
    /// Two workers compared with one, with access lists that answer late
    Workers,
    /// Memory of a worker that calls ten thousand hosts, compared with one host
    Hosts {
        /// Number of hosts
        #[arg(long, default_value_t = 10_000)]
        hosts: u32,
    },
}

/// Exit code when nothing could be measured.
const UNAVAILABLE: u8 = 69;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = match command_line::parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    measured(cli).await.unwrap_or_else(|error| {
        eprintln!("bench: {error:#}");
        ExitCode::from(UNAVAILABLE)
    })
}

async fn measured(cli: Cli) -> Result<ExitCode> {
    let effort = Effort {
        warm_up: Duration::from_secs_f64(cli.seconds / 4.0),
        measured: Duration::from_secs_f64(cli.seconds),
        in_flight: cli.in_flight,
        unloaded_rate: 50.0,
        looked_up: 5000,
    };
    if let Command::Platform { stations, requests, streams, results } = &cli.command {
        // It needs neither RabbitMQ nor Redis.
        let size = Size { stations: *stations, requests: *requests, streams: *streams, changes: 100 };
        return platform(size, results).await;
    }
    let servers = Servers::start()?;
    if let Command::Ocpp { sockets, rate, sources, hold, soak, rounds, python, results } = cli.command {
        let seconds = cli.seconds;
        let size = ocpp::Size { sockets, rate, sources, seconds, hold, soak, rounds, python };
        return chargers(servers, size, &effort, &results).await;
    }
    let faults = run(cli.command, &servers, &effort).await?;
    for fault in &faults {
        eprintln!("WORTH NOTHING: {fault}");
    }
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Measures the charging platform. Here a limit that is not kept is a failure.
async fn platform(size: Size, results: &Path) -> Result<ExitCode> {
    let directory = tempfile::Builder::new().prefix("voltgate-bench-").tempdir()?;
    let measured = platform::both(directory.path(), size, |what| eprintln!("bench: {what}")).await?;
    let text: Vec<String> = measured.iter().map(platform::OnDatabase::markdown).collect();
    let text = text.join("\n");
    print!("{text}");
    std::fs::create_dir_all(results)?;
    std::fs::write(results.join("platform.md"), text)?;
    std::fs::write(results.join("platform.json"), serde_json::to_string_pretty(&measured)?)?;
    let faults: Vec<String> = measured.iter().flat_map(platform::OnDatabase::faults).collect();
    for fault in &faults {
        eprintln!("NOT KEPT: {fault}");
    }
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Measures ocpp-gateway. A missed target is no failure.
async fn chargers(servers: Servers, size: ocpp::Size, effort: &Effort, results: &Path) -> Result<ExitCode> {
    let report = ocpp::measure(servers, size, effort, |what| eprintln!("bench: {what}")).await?;
    let text = report.markdown();
    print!("{text}");
    std::fs::create_dir_all(results)?;
    std::fs::write(results.join("ocpp.md"), text)?;
    std::fs::write(results.join("ocpp.json"), serde_json::to_string_pretty(&report)? + "\n")?;
    Ok(if report.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs a command; returns the faults.
async fn run(command: Command, servers: &Servers, effort: &Effort) -> Result<Vec<String>> {
    match command {
        Command::All { rounds, results } => {
            let report =
                everything(servers, effort, rounds.max(1), |what| eprintln!("bench: {what}")).await?;
            report.write(&results)?;
            println!("{}\nWritten to {}.", report.markdown(), results.display());
            Ok(report.faults())
        }
        Command::Bare { prefetch } => bare_broker(servers, prefetch, effort).await.map(|_| Vec::new()),
        Command::Throughput => {
            let bare = bare_broker(servers, PREFETCH, effort).await?;
            let system = services(servers, &Form { workers: 1, ..Form::default() }).await?;
            let measured = measure("Voltgate", &system, Some(servers), effort).await?;
            show(&measured);
            println!("Voltgate / bare broker: {:.3}", measured.peak.per_second / bare);
            Ok(measured.faults())
        }
        Command::Skeleton => {
            let bare = bare_broker(servers, PREFETCH, effort).await?;
            let skeleton = skeleton(servers, bare::samples(servers).await?, PREFETCH, effort).await?;
            println!("The skeleton:");
            show_load(&skeleton);
            let system = services(servers, &Form { workers: 1, ..Form::default() }).await?;
            let session = system.session(Drivers::default(), 1).await?;
            let (_, voltgate, _) = full_load(&system.parts(), session, effort).await?;
            println!("Voltgate:");
            show_load(&voltgate);
            let (of_bare, of_skeleton) =
                (skeleton.per_second / bare, voltgate.per_second / skeleton.per_second);
            println!("skeleton / bare broker: {of_bare:.3}; Voltgate / skeleton: {of_skeleton:.3}");
            Ok(faults_of([&skeleton, &voltgate]))
        }
        Command::Python { processes, threads, pool } => {
            let system = reference(servers, Sizes { processes, threads, pool }).await?;
            let measured =
                measure("Python", &system, Some(servers), &Effort { looked_up: 0, ..*effort }).await?;
            show(&measured);
            Ok(measured.faults())
        }
        Command::Backlog { few, many } => {
            let few = backlog(servers, few, effort.in_flight, effort.measured).await?;
            println!("{few:?}");
            let many = backlog(servers, many, effort.in_flight, effort.measured).await?;
            println!("{many:?}");
            let (speed, memory) = (many.per_second / few.per_second, many.worker_mib / few.worker_mib);
            println!(
                "many / few waiting: throughput {speed:.3} (0.9 at least), worker's memory {memory:.3} (1.1 at most)"
            );
            Ok(Vec::new())
        }
        Command::Profile { results } => {
            let profile = profile(servers, effort).await?;
            print!("{profile}");
            std::fs::create_dir_all(&results)?;
            std::fs::write(results.join("profile.md"), profile)?;
            Ok(Vec::new())
        }
        // Measured elsewhere.
        Command::Platform { .. } | Command::Ocpp { .. } => Ok(Vec::new()),
        Command::Workers => {
            let (one, two) = (workers(servers, 1, effort).await?, workers(servers, 2, effort).await?);
            show_load(&one);
            show_load(&two);
            println!("two workers / one: {:.3} (1.7 at least)", two.per_second / one.per_second);
            Ok(faults_of([&one, &two]))
        }
        Command::Hosts { hosts: many } => {
            let (one, many) = (hosts(servers, 1, effort).await?, hosts(servers, many, effort).await?);
            for measured in [&one, &many] {
                println!("{} hosts: memory {:.1?} MiB", measured.hosts, measured.memory_mib);
                show_load(&measured.load);
            }
            Ok(faults_of([&one.load, &many.load]))
        }
    }
}

async fn bare_broker(servers: &Servers, prefetch: u16, effort: &Effort) -> Result<f64> {
    let samples = bare::samples(servers).await?;
    let bare = bare::run(servers, samples, prefetch, effort.measured).await?;
    let (p50, p99) = bare.confirm_ms;
    println!("bare broker: {:.0} messages/s; CPU µs/message {:.0?}", bare.per_second, bare.cpu_us);
    println!("  unloaded, publish to confirm: p50 {p50:.2} p99 {p99:.2} ms");
    Ok(bare.per_second)
}

fn faults_of(loads: [&Load; 2]) -> Vec<String> {
    let bad = loads.into_iter().filter(|load| !load.faults.is_none());
    bad.map(|load| format!("{}: {}", load.pace, load.faults)).collect()
}

fn show(measured: &Measured) {
    println!("{}: ready {:.0?} ms, memory {:.1?} MiB", measured.name, measured.ready_ms, measured.memory_mib);
    for load in measured.loads() {
        show_load(load);
    }
    println!(
        "  looked up {} requests; (accepted, records in Redis): {:?}",
        measured.looked_up, measured.records
    );
}

fn show_load(load: &Load) {
    println!("  {}: {} requests, {:.0}/s", load.pace, load.requests, load.per_second);
    for (name, latency) in [("202", load.answer), ("202 to callback", load.callback), ("whole", load.whole)] {
        println!(
            "    {name:<16} p50 {:.2} p90 {:.2} p99 {:.2} p99.9 {:.2} max {:.2} ms",
            latency.p50_ms, latency.p90_ms, latency.p99_ms, latency.p999_ms, latency.max_ms
        );
    }
    println!("    CPU µs/request: {:.0?}", load.cpu_us);
}
