//! `with-servers [--] COMMAND ARGUMENTS...` runs a command, usually `cargo test`, with a private RabbitMQ, Redis and
//! PostgreSQL and a Python with Celery, whose addresses are in `VOLTGATE_TEST_*`. It exits as the command does, or with
//! 69 if the servers cannot be started.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use clap::Parser;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tempfile::TempDir;
use test_servers::{Postgres, RabbitMq, Redis, descendants, packages, python};

const UNAVAILABLE: u8 = 69;
const PATIENT_FOR: Duration = Duration::from_secs(10);
const GIVES_UP_AFTER: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(50);

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Runs a command with a private RabbitMQ, Redis and PostgreSQL and a Python with Celery, and exits as the command does
#[derive(Debug, Parser)]
struct Arguments {
    /// The command and its arguments; `VOLTGATE_TEST_*` tell it where the servers are
    #[arg(required = true, trailing_var_arg = true)]
    command: Vec<OsString>,
}

enum Event {
    Signal(i32),
    Finished(Result<u8>),
}

struct Servers {
    rabbitmq: RabbitMq,
    redis: Redis,
    postgres: Postgres,
    python: python::Environment,
}

fn main() -> ExitCode {
    let Arguments { command } = match command_line::parse() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let outcome = watch_signals().and_then(|(sender, events)| {
        thread::spawn(move || sender.send(Event::Finished(run(&command))));
        match events.recv()? {
            Event::Finished(outcome) => outcome,
            Event::Signal(signal) => {
                end_everything(&events);
                Ok(shell_code(signal))
            }
        }
    });
    outcome.map_or_else(|error| unavailable(&error), ExitCode::from)
}

/// Signals become events, so that everything is shut down in order.
fn watch_signals() -> Result<(Sender<Event>, Receiver<Event>)> {
    let (sender, events) = channel();
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM]).context("cannot watch signals")?;
    let to_main = sender.clone();
    thread::spawn(move || signals.forever().try_for_each(|signal| to_main.send(Event::Signal(signal))));
    Ok((sender, events))
}

fn run(command: &[OsString]) -> Result<u8> {
    install_missing()?;
    let temporary = tempfile::Builder::new().prefix("voltgate-test-").tempdir();
    let temporary = temporary.context("cannot create a temporary directory")?;
    let outcome = run_with_servers(temporary.path(), command);
    if !matches!(outcome, Ok(0)) && !INTERRUPTED.load(Ordering::Relaxed) {
        keep_logs(temporary);
    }
    outcome
}

fn install_missing() -> Result<()> {
    let started = Instant::now();
    let installed = packages::install_missing()?;
    if !installed.is_empty() {
        say(&format!("installed {}", installed.join(", ")), started);
    }
    Ok(())
}

fn run_with_servers(dir: &Path, command: &[OsString]) -> Result<u8> {
    let servers = start_servers(dir)?;
    if INTERRUPTED.load(Ordering::Relaxed) {
        bail!("interrupted");
    }
    let (program, arguments) = command.split_first().context("there is no command")?;
    let status = Command::new(program)
        .args(arguments)
        .env("VOLTGATE_TEST_BROKER_URL", servers.rabbitmq.amqp_url())
        .env("VOLTGATE_TEST_BROKER_API", servers.rabbitmq.api_url())
        .env("VOLTGATE_TEST_REDIS_URL", servers.redis.url())
        .env("VOLTGATE_TEST_POSTGRES_URL", servers.postgres.url())
        .env("VOLTGATE_TEST_PYTHON", &servers.python.python)
        .status();
    status.with_context(|| format!("cannot run {}", program.display())).map(exit_code)
}

/// Starts all of them at once, as each mostly waits.
fn start_servers(dir: &Path) -> Result<Servers> {
    thread::scope(|scope| {
        let rabbitmq = scope.spawn(|| start_rabbitmq(&dir.join("rabbitmq")));
        let redis = scope.spawn(|| start_redis(&dir.join("redis")));
        let postgres = scope.spawn(|| start_postgres(&dir.join("postgres")));
        let python = scope.spawn(make_python);
        let panicked = |_| anyhow!("a thread that starts servers panicked");
        let (rabbitmq, redis) = (rabbitmq.join(), redis.join());
        let (postgres, python) = (postgres.join(), python.join());
        Ok(Servers {
            rabbitmq: rabbitmq.map_err(panicked)??,
            redis: redis.map_err(panicked)??,
            postgres: postgres.map_err(panicked)??,
            python: python.map_err(panicked)??,
        })
    })
}

fn start_rabbitmq(dir: &Path) -> Result<RabbitMq> {
    let started = Instant::now();
    let rabbitmq = RabbitMq::start(dir)?;
    say(&format!("RabbitMQ at {}, its API at {}", rabbitmq.amqp_url(), rabbitmq.api_url()), started);
    Ok(rabbitmq)
}

fn start_redis(dir: &Path) -> Result<Redis> {
    let started = Instant::now();
    let redis = Redis::start(dir)?;
    say(&format!("Redis at {}", redis.url()), started);
    Ok(redis)
}

fn start_postgres(dir: &Path) -> Result<Postgres> {
    let started = Instant::now();
    let postgres = Postgres::start(dir)?;
    say(&format!("PostgreSQL at {}", postgres.url()), started);
    Ok(postgres)
}

fn make_python() -> Result<python::Environment> {
    let started = Instant::now();
    let environment = python::environment()?;
    let how = if environment.created { "new" } else { "as it was" };
    say(&format!("Python at {}, {how}", environment.python.display()), started);
    Ok(environment)
}

/// Ends the command and the servers, with SIGTERM first; [`run`] then sees their exit and cleans up. Signals every
/// process that the command started, because cargo does not forward signals to the tests that it runs, and repeats
/// this, because those may be starting others at that moment. A second signal kills everything at once.
fn end_everything(events: &Receiver<Event>) {
    INTERRUPTED.store(true, Ordering::Relaxed);
    // A descendant that loses its parent becomes our child and is still found. No current kernel refuses this call.
    let _ = set_child_subreaper(true);
    let begun = Instant::now();
    let (mut patient, mut finished, mut asked) = (true, false, HashSet::new());
    while begun.elapsed() < GIVES_UP_AFTER {
        let running = descendants(std::process::id());
        if finished && running.is_empty() {
            return;
        }
        patient &= begun.elapsed() < PATIENT_FOR;
        for pid in running {
            // A process that has already ended is not an error.
            let process = Pid::from_raw(pid.cast_signed());
            if !patient {
                let _ = kill(process, Signal::SIGKILL);
            } else if asked.insert(pid) {
                let _ = kill(process, Signal::SIGTERM);
            }
        }
        match events.recv_timeout(POLL) {
            Ok(Event::Finished(_)) => finished = true,
            Ok(Event::Signal(_)) => patient = false,
            Err(_) => {}
        }
    }
}

fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().map(|code| u8::try_from(code).unwrap_or(1));
    code.unwrap_or_else(|| shell_code(status.signal().unwrap_or(0)))
}

/// The exit code that a shell returns for a process ended by a signal.
fn shell_code(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(1)
}

fn keep_logs(temporary: TempDir) {
    let kept = temporary.keep();
    for server in ["rabbitmq", "redis", "postgres"] {
        // Only the logs are of interest. If the data cannot be removed, that does no harm.
        let _ = fs::remove_dir_all(kept.join(server).join("data"));
    }
    eprintln!("with-servers: the servers' logs are kept in {}", kept.display());
}

fn unavailable(error: &anyhow::Error) -> ExitCode {
    eprintln!("with-servers: {error:#}");
    ExitCode::from(UNAVAILABLE)
}

fn say(what: &str, started: Instant) {
    eprintln!("with-servers: {what} ({:.1} s)", started.elapsed().as_secs_f32());
}
