//! `voltgate simulate`: its arguments, and what they start.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use tokio::io::{BufReader, stdin, stdout};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::charger::Settings;
use crate::event::Journal;
use crate::link::tls::{self, TlsError, TlsFiles};
use crate::load::calls::{Action, Calls};
use crate::load::report::Report;
use crate::load::sessions::Script;
use crate::load::{Target, calls, open, sessions, storm};
use crate::misbehaviour::Misbehaviour;
use crate::station::Model;
use crate::terminal;

/// The arguments of `voltgate simulate`.
#[derive(Debug, Args)]
pub struct SimulateArgs {
    /// A load on the central system, instead of chargers that charge
    #[command(subcommand)]
    load: Option<Load>,
    /// The central system's URL without the charger's name
    #[arg(long, value_name = "URL", default_value = "ws://127.0.0.1:9000/ocpp", global = true)]
    url: Url,
    /// The charger's name; of several chargers, what stands before their numbers
    #[arg(long, value_name = "NAME", default_value = "CP-", global = true)]
    charger: String,
    /// How many chargers to start; without it, one charger is operated from the terminal
    #[arg(long, visible_alias = "n", value_name = "COUNT", global = true,
        value_parser = clap::value_parser!(u32).range(1..=100_000))]
    chargers: Option<u32>,
    /// The password of the chargers for Basic authentication
    #[arg(long, value_name = "TEXT", global = true)]
    password: Option<String>,
    /// The file with that password, in bytes; a line end counts
    #[arg(long, value_name = "FILE", conflicts_with = "password", global = true)]
    password_file: Option<PathBuf>,
    /// The authorities to trust over wss://, as PEM; those of this machine unless given
    #[arg(long, value_name = "FILE", global = true)]
    ca_file: Option<PathBuf>,
    /// The certificate of the charger with its chain, as PEM, for security profile 3
    #[arg(long, value_name = "FILE", requires = "key_file", global = true)]
    cert_file: Option<PathBuf>,
    /// The private key of that certificate, as PEM
    #[arg(long, value_name = "FILE", requires = "cert_file", global = true)]
    key_file: Option<PathBuf>,
    /// How many loopback addresses to connect from, beginning with 127.0.0.2
    #[arg(long, default_value_t = 0, global = true, value_parser = clap::value_parser!(u8).range(..=200))]
    sources: u8,
    /// New sockets a second
    #[arg(long, default_value_t = 1500.0, global = true, value_parser = positive)]
    rate: f64,
    /// The tag of the drivers
    #[arg(long, default_value = "SIMULATOR", global = true)]
    tag: String,
    /// What everything random comes from
    #[arg(long, default_value_t = 0, global = true)]
    seed: u64,
    /// How long the chargers begin sessions
    #[arg(long, default_value_t = 2.0, value_parser = positive)]
    minutes: f64,
    /// How many connectors a charger has
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    connectors: u32,
    /// The power of a connector in W
    #[arg(long, default_value_t = 11_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    power: u32,
    /// How many times faster than real time energy is counted and meter values are sent
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=3600))]
    speed: u32,
    /// What the chargers do wrong, several by commas: no-pong, late-answer, duplicate-start, wrong-clock, cut,
    /// minus-one-stop, flood, no-offset, numbers-as-text, meter-value-object, half-open
    #[arg(long, value_name = "WORD", value_delimiter = ',', global = true)]
    misbehave: Vec<Misbehaviour>,
    /// Write what the chargers do into this file, a JSON object a line; tags are masked
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// The process id of the central system, whose CPU time and memory count
    #[arg(long, value_name = "PID", global = true)]
    pid: Option<u32>,
    /// Print the report as JSON for machines
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Clone, Subcommand)]
enum Load {
    /// Open and boot chargers, hold them, and ask each for a Heartbeat
    #[command(after_help = "Example: voltgate simulate open --n 10000 --rate 1500 --sources 4 --hold 60")]
    Open {
        /// Seconds to hold
        #[arg(long, default_value_t = 60.0, value_parser = positive)]
        hold: f64,
    },
    /// Send CALLs, one after another on each socket, or at a rate
    #[command(after_help = "Example: voltgate simulate calls --n 1000 --per-second 1000 --secs 30")]
    Calls {
        /// Seconds to send
        #[arg(long, default_value_t = 10.0, value_parser = positive)]
        secs: f64,
        /// Calls a second over all sockets; latencies then count from when a call was due
        #[arg(long, value_parser = positive)]
        per_second: Option<f64>,
        /// The message
        #[arg(long, value_enum, default_value = "Heartbeat")]
        action: Action,
    },
    /// Charge again and again without a pause
    #[command(after_help = "Example: voltgate simulate sessions --n 200 --secs 10")]
    Sessions {
        /// Seconds to begin sessions
        #[arg(long, default_value_t = 10.0, value_parser = positive)]
        secs: f64,
    },
    /// Cut all sockets and let them come back at once
    #[command(after_help = "Example: voltgate simulate storm --n 2000 --rounds 3")]
    Storm {
        /// How many times
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
        rounds: u32,
    },
}

/// Why the command could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// The URL cannot be used.
    #[error("--url {0}: expected ws:// or wss://")]
    Url(Url),
    /// A file cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
    /// The certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The terminal failed.
    #[error("the terminal: {0}")]
    Terminal(#[source] io::Error),
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| *number > 0.0 && *number <= 1e6);
    number.ok_or_else(|| "expected a number above 0 and up to 1000000".to_owned())
}

/// Runs the command. The code is 0 if no call failed and the central system broke no rule, else 1.
///
/// # Errors
/// Returns an error if it cannot begin.
pub async fn run(args: SimulateArgs, stop: &CancellationToken) -> Result<ExitCode, SimulateError> {
    if !matches!(args.url.scheme(), "ws" | "wss") {
        return Err(SimulateError::Url(args.url));
    }
    let target = args.target()?;
    let report = match &args.load {
        None if args.chargers.is_none() => return operate(&args, &target, stop).await,
        None => sessions::run(&target, &args.script()?, stop).await,
        Some(Load::Open { hold }) => open::run(&target, seconds(*hold)).await,
        Some(Load::Calls { secs, per_second, action }) => {
            let (duration, per_second) = (seconds(*secs), *per_second);
            calls::run(&target, Calls { action: *action, duration, per_second }).await
        }
        Some(Load::Sessions { secs }) => {
            let script = Script::load(seconds(*secs), args.model());
            sessions::run(&target, &script, stop).await
        }
        Some(Load::Storm { rounds }) => storm::run(&target, *rounds).await,
    };
    show(&report, args.json);
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn seconds(number: f64) -> Duration {
    Duration::from_secs_f64(number)
}

/// A closed pipe, as with `| head`, is no error.
fn show(report: &Report, json: bool) {
    let text = if json { serde_json::to_string(report).unwrap_or_default() } else { report.to_string() };
    let _ = writeln!(io::stdout(), "{text}");
}

/// One charger, operated by lines on standard input. What it does goes to standard output.
async fn operate(
    args: &SimulateArgs,
    target: &Target,
    stop: &CancellationToken,
) -> Result<ExitCode, SimulateError> {
    let mut settings = Settings::new(target.dial(0));
    if args.charger != "CP-" {
        args.charger.clone_into(&mut settings.dial.charger);
    }
    settings.model = args.model();
    settings.journal = args.journal()?;
    if !io::stdin().is_terminal() {
        eprintln!(
            "commands come from standard input, which is no terminal; --chargers starts a script instead"
        );
    }
    let broken = terminal::run(settings, BufReader::new(stdin()), stdout(), stop).await;
    let broken = broken.map_err(SimulateError::Terminal)?;
    Ok(if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl SimulateArgs {
    fn target(&self) -> Result<Target, SimulateError> {
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|error| SimulateError::File { path: path.clone(), error })
        };
        let password = match &self.password_file {
            Some(path) => Some(read(path)?),
            None => self.password.clone().map(String::into_bytes),
        };
        let tls = match self.url.scheme() {
            "wss" => {
                let identity = self.cert_file.as_deref().zip(self.key_file.as_deref());
                Some(tls::client(TlsFiles { authorities: self.ca_file.as_deref(), identity })?)
            }
            _ => None,
        };
        Ok(Target {
            url: self.url.clone(),
            prefix: self.charger.clone(),
            chargers: self.chargers.unwrap_or(100),
            sources: self.sources,
            password,
            tls,
            rate: Some(self.rate),
            tag: self.tag.clone(),
            pid: self.pid,
        })
    }

    fn model(&self) -> Model {
        Model {
            connectors: self.connectors,
            power_w: self.power,
            speed: self.speed,
            seed: self.seed,
            misbehaviours: self.misbehave.clone(),
        }
    }

    /// Sessions of 10 to 60 seconds with a meter value every 10, and up to 20 seconds between them.
    fn script(&self) -> Result<Script, SimulateError> {
        Ok(Script {
            duration: seconds(self.minutes * 60.0),
            pause_ms: 0..20_000,
            charging_ms: 10_000..60_000,
            sample_secs: 10,
            model: self.model(),
            journal: self.journal()?,
        })
    }

    fn journal(&self) -> Result<Journal, SimulateError> {
        let Some(path) = &self.journal else { return Ok(Journal::none()) };
        let file = File::options().create(true).append(true).open(path);
        let file = file.map_err(|error| SimulateError::File { path: path.clone(), error })?;
        Ok(Journal::into(file))
    }
}
