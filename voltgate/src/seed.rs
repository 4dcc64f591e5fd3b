//! `voltgate seed`: writes a believable charging network into the platform's database, for demonstrations and load tests. Each
//! part of the platform has its own file here: what it writes follows from `--random-seed` alone, ids included.

mod cities;
mod countries;
mod kinds;
mod network;
mod random;
mod sites;
mod stations;
mod statuses;

use std::path::PathBuf;
use std::process::ExitCode;

use charging::DatabaseConfig;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use service_runtime::exit::Failure;
use service_runtime::settings::Settings;
use tokio::signal::unix::{SignalKind, signal};

use self::sites::Seeded;
use crate::terminal::{self, Progress};

/// How a shell reports a process that SIGINT ended.
const INTERRUPTED: u8 = 130;

#[derive(Debug, Args)]
pub(crate) struct SeedArgs {
    /// The number of charging stations
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    stations: u32,
    /// The seed of the network: the same seed makes the same network, ids included. A database holds one network
    #[arg(long, value_name = "S", default_value_t = 1)]
    random_seed: u64,
    /// The data directory of `voltgate up` [default: as in DATABASE_URL, or voltgate-data]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Print JSON for machines
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(settings: &Settings, args: SeedArgs) -> Result<ExitCode, Failure> {
    let without =
        "there is no database: name the data directory of `voltgate up` with --data, or set DATABASE_URL";
    let config =
        DatabaseConfig::from_settings(settings)?.ok_or_else(|| Failure::Usage(without.to_owned()))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::broken)?;
    // `voltgate up` may own the directory.
    let db = config.open_beside().await?;
    let progress = Progress(bar(u64::from(args.stations)));
    let interrupted = async {
        interrupt.recv().await;
    };
    let written = sites::write(&db, args.random_seed, args.stations, interrupted, &progress.0).await;
    db.close().await;
    drop(progress);
    let seeded = written.map_err(|error| error.failure(&config))?;
    let whole = seeded.stations == u64::from(args.stations);
    seeded.print(&args);
    if whole {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("interrupted: every location that was written is whole; the same command adds the others");
    Ok(ExitCode::from(INTERRUPTED))
}

impl Seeded {
    fn print(&self, args: &SeedArgs) {
        let Self { stations, new_stations, locations, new_locations } = self;
        if args.json {
            let report = json!({
                "stations": stations, "new_stations": new_stations, "locations": locations,
                "new_locations": new_locations, "random_seed": args.random_seed,
            });
            terminal::line(&report.to_string());
        } else {
            terminal::line(&format!(
                "{stations} stations, {new_stations} new; {locations} locations, {new_locations} new"
            ));
        }
    }
}

/// Drawn on standard error, on a terminal only.
fn bar(stations: u64) -> ProgressBar {
    let progress = ProgressBar::new(stations);
    let template = "seeding {bar:40} {percent:>3} % of {len} stations, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        progress.set_style(style);
    }
    progress
}
