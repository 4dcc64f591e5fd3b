//! `voltgate bench`: loads a running installation and accounts for every `202`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::settings::VOLTGATE_KEY;
use clap::Args;
use common::api_key::ApiKey;
use indicatif::{ProgressBar, ProgressStyle};
use load_generator::{
    ConnectionError, Drivers, FrontDoor, Origin, Outcome, Pace, Plan, Session, Sink, check_records,
    percentile_curves,
};
use public_api::settings::PUBLIC_API_PORT;
use serde_json::json;
use service_runtime::exit::Failure;
use service_runtime::settings::Settings;

use crate::terminal;

const MAX_RATE: f64 = 1e6;
/// Enough to keep any server busy; after their 202, more requests than this are in flight.
const MAX_CONNECTIONS: usize = 64;
/// How long to wait for the callbacks of the last requests.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// public-api's URL [default: http://127.0.0.1:PUBLIC_API_PORT]
    #[arg(long, value_name = "URL")]
    pub(crate) api: Option<String>,
    /// acl-service's URL, to admit the drivers [default: AUTHORIZATION_SERVICE_URL and AUTHORIZATION_SERVICE_PORT]
    #[arg(long, value_name = "URL")]
    pub(crate) acl: Option<String>,
    /// Open loop: send this many requests a second, whatever their outcome
    #[arg(long, conflicts_with = "connections")]
    rate: Option<f64>,
    /// Closed loop: keep this many requests in flight; each starts when an earlier one is called back
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
    /// How many seconds to send requests
    #[arg(long, default_value_t = 10.0)]
    duration: f64,
    /// The maximum number of requests
    #[arg(long)]
    requests: Option<u64>,
    /// How many seconds of the same load to send first, without measuring
    #[arg(long, default_value_t = 2.0)]
    warm_up: f64,
    /// The number of stations
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    stations: u64,
    /// The number of drivers at each station; one in ten is on no list
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    drivers: u64,
    /// The address that receives callbacks; the installation has to admit it
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// How many records to look up afterwards
    #[arg(long, default_value_t = 1000)]
    look_up: usize,
    /// Print JSON for machines
    #[arg(long)]
    json: bool,
    /// Draw the latencies by percentile into this SVG file
    #[arg(long)]
    svg: Option<PathBuf>,
}

pub(crate) async fn run(settings: &Settings, args: BenchArgs) -> Result<ExitCode, Failure> {
    let (warming, measuring) = plans(&args)?;
    let session = session(settings, &args)?;
    let acl = match &args.acl {
        Some(acl) => acl.clone(),
        None => settings.acl_service()?.to_string(),
    };
    let admitted = session.front_door.admit(origin(&acl)?).await;
    say_what_was_done(&acl, &args, admitted.as_ref());
    let (session, mut warm) = load(session, warming, "warming up").await?;
    let (session, mut outcome) = load(session, measuring, "measuring").await?;
    let checked = check_records(&session.front_door, &outcome.requests, args.look_up).await;
    outcome.faults.unrecorded = checked.unrecorded;
    if admitted.is_err() {
        // The correct decisions are unknown.
        (warm.faults.wrong, outcome.faults.wrong) = (0, 0);
    }
    if !warm.faults.is_none() {
        eprintln!("faults while warming up: {}", warm.faults);
    }
    if let Some(file) = &args.svg {
        let curves =
            [("202", &outcome.answer), ("202 to callback", &outcome.callback), ("all", &outcome.whole)];
        std::fs::write(file, percentile_curves(&session.front_door.api.authority, &curves))
            .map_err(|error| Failure::Refused(format!("{}: {error}", file.display())))?;
    }
    show(&outcome, checked.looked_at, args.json);
    let well = outcome.faults.is_none() && warm.faults.is_none();
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The plans for the warm-up and for the measurement.
fn plans(args: &BenchArgs) -> Result<(Plan, Plan), Failure> {
    if args.rate.is_some_and(|rate| !(rate > 0.0 && rate <= MAX_RATE)) {
        return Err(Failure::Usage(format!("--rate: expected more than 0 and at most {MAX_RATE}")));
    }
    let in_flight = usize::from(args.connections);
    let measuring = Plan {
        pace: args.rate.map_or(Pace::InFlight(in_flight), Pace::Rate),
        connections: in_flight.min(MAX_CONNECTIONS),
        duration: seconds("duration", args.duration)?,
        requests: args.requests,
        patience: PATIENCE,
    };
    let warming = Plan { duration: seconds("warm-up", args.warm_up)?, requests: None, ..measuring };
    Ok((warming, measuring))
}

/// A session with a listening callback sink.
fn session(settings: &Settings, args: &BenchArgs) -> Result<Session, Failure> {
    let url = match &args.api {
        Some(url) => url.clone(),
        None => format!("http://127.0.0.1:{}", settings.port(&PUBLIC_API_PORT)?),
    };
    let sink = Sink::start((args.listen.ip(), args.listen.port()));
    let sink = sink.map_err(|error| Failure::Usage(format!("--listen {}: {error}", args.listen)))?;
    let front_door = FrontDoor {
        api: origin(&url)?,
        key: settings.optional::<ApiKey>(&VOLTGATE_KEY)?.map(|key| key.reveal()),
        drivers: Drivers { stations: args.stations, drivers: args.drivers },
        sink: sink.address(),
        hosts: 1,
    };
    Ok(Session { front_door, sink })
}

fn origin(url: &str) -> Result<Origin, Failure> {
    Origin::parse(url).map_err(|error| Failure::Usage(error.to_string()))
}

fn seconds(option: &str, given: f64) -> Result<Duration, Failure> {
    let bad = || Failure::Usage(format!("--{option} {given}: expected seconds, at most 86400"));
    Duration::try_from_secs_f64(given)
        .ok()
        .filter(|time| *time <= Duration::from_secs(86_400))
        .ok_or_else(bad)
}

/// On standard error, so that the results can be piped.
fn say_what_was_done(acl: &str, args: &BenchArgs, admitted: Result<&u64, &ConnectionError>) {
    match admitted {
        Ok(entries) => eprintln!(
            "added {entries} drivers named bench-driver-admitted-… to the lists of {} stations at {acl}; they remain there",
            args.stations
        ),
        Err(error) => {
            eprintln!("could not fill the access lists at {acl} ({error}): decisions are not compared");
        }
    }
}

async fn load(session: Session, plan: Plan, what: &'static str) -> Result<(Session, Outcome), Failure> {
    let running = tokio::task::spawn_blocking(move || {
        let bar = bar(&plan, what);
        let outcome = session.run(&plan, |progress| {
            bar.set_position(u64::try_from(progress.elapsed.as_millis()).unwrap_or(u64::MAX));
            bar.set_message(format!("{} accepted, {} called back", progress.accepted, progress.called_back));
        });
        bar.finish_and_clear();
        outcome.map(|outcome| (session, outcome))
    });
    let ran = running.await.map_err(Failure::broken)?;
    ran.map_err(Failure::broken)
}

/// A progress bar in milliseconds, shown on a terminal only.
fn bar(plan: &Plan, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(u64::try_from(plan.duration.as_millis()).unwrap_or(u64::MAX));
    let style = ProgressStyle::with_template("{prefix} [{bar:30}] {elapsed} {msg}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())).with_prefix(what)
}

fn show(outcome: &Outcome, looked_up: u64, as_json: bool) {
    let latencies = [
        ("202", outcome.answer.percentiles()),
        ("202 to callback", outcome.callback.percentiles()),
        ("call to callback", outcome.whole.percentiles()),
    ];
    if as_json {
        let [answer, callback, whole] = latencies.map(|(_, percentiles)| percentiles);
        let shown = json!({
            "requests": outcome.completed, "seconds": outcome.took.as_secs_f64(),
            "per_second": outcome.per_second(), "answer": answer, "callback": callback, "whole": whole,
            "looked_up": looked_up, "faults": outcome.faults,
        });
        println!("{shown}");
        return;
    }
    let bold = terminal::bold();
    println!(
        "{bold}{:.0} requests/s{bold:#}: {} in {:.1} s, from the call to the callback",
        outcome.per_second(),
        outcome.completed,
        outcome.took.as_secs_f64()
    );
    println!("{:<18}{:>9}{:>9}{:>9}{:>9}{:>9}  ms", "", "p50", "p90", "p99", "p99.9", "max");
    for (name, shown) in latencies {
        println!(
            "{name:<18}{:>9.2}{:>9.2}{:>9.2}{:>9.2}{:>9.2}",
            shown.p50_ms, shown.p90_ms, shown.p99_ms, shown.p999_ms, shown.max_ms
        );
    }
    let style = if outcome.faults.is_none() { terminal::good() } else { terminal::bad() };
    println!("{style}faults: {}{style:#} ({looked_up} records looked up)", outcome.faults);
}
