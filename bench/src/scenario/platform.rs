//! Whether the charging platform stays quick with many stations: how long its lists and searches take, on SQLite and on
//! PostgreSQL, and what a thousand live streams cost.

mod live;
mod queries;
mod samples;

use std::fmt::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use test_servers::{Postgres, packages};
use tokio::process::Command;

pub use self::live::Streams;
pub use self::queries::Query;
use self::samples::Samples;
use crate::system::voltgate::{Platform, platform, program};

/// The time limit of 99 of 100 queries.
pub const LIMIT_MS: f64 = 50.0;
/// The limit of the memory of a stream.
pub const STREAM_LIMIT_KB: f64 = 20.0;

/// What to measure.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Number of stations.
    pub stations: u32,
    /// Number of requests of each kind.
    pub requests: usize,
    /// Number of live streams.
    pub streams: usize,
    /// Number of changes that each stream must show.
    pub changes: usize,
}

/// The result on one database.
#[derive(Debug, Serialize)]
pub struct OnDatabase {
    /// `SQLite` or `PostgreSQL`.
    pub database: &'static str,
    /// Number of stations.
    pub stations: u32,
    /// How long `voltgate seed` took, beside the running process.
    pub seed_s: f64,
    /// How long the events of the seed took until a later one was on a live stream.
    pub settled_s: f64,
    /// The queries.
    pub queries: Vec<Query>,
    /// The live streams.
    pub streams: Streams,
}

/// Measures on SQLite, and on PostgreSQL if it is installed. `say` gets the progress.
///
/// # Errors
/// Returns an error if a process does not start, or a query is refused.
pub async fn both(directory: &Path, size: Size, say: impl Fn(&str)) -> Result<Vec<OnDatabase>> {
    let mut all = vec![measured("SQLite", None, &directory.join("sqlite"), size, &say).await?];
    if packages::missing().contains(&"postgresql") {
        say("PostgreSQL is not installed: left out");
        return Ok(all);
    }
    let postgres = Postgres::start(&directory.join("postgres"))?;
    let url = format!("{}/postgres", postgres.url());
    all.push(measured("PostgreSQL", Some(url), &directory.join("postgres"), size, &say).await?);
    Ok(all)
}

async fn measured(
    database: &'static str,
    url: Option<String>,
    directory: &Path,
    size: Size,
    say: impl Fn(&str),
) -> Result<OnDatabase> {
    let place = directory.join("voltgate");
    std::fs::create_dir_all(&place)?;
    let platform = platform(&place, url).await?;
    say(&format!("{database}: {} stations", size.stations));
    let seed_s = seed(&platform, size.stations).await?;
    let settled_s = live::settled(&platform).await?;
    say(&format!("{database}: seeded in {seed_s:.1} s, settled after {settled_s:.1} s more"));
    let samples = Samples::of(&platform).await?;
    let mut queries = Vec::new();
    for kind in queries::KINDS {
        say(&format!("{database}: {}", kind.name));
        queries.push(queries::measure(kind, &platform, &samples, size.requests).await?);
    }
    say(&format!("{database}: {} live streams", size.streams));
    let streams = live::streams(&platform, &samples, size).await?;
    let measured = OnDatabase { database, stations: size.stations, seed_s, settled_s, queries, streams };
    // The next database takes minutes, and may fail.
    say(&format!("{database}: measured\n\n{}", measured.markdown()));
    Ok(measured)
}

/// Runs `voltgate seed`; returns its seconds.
async fn seed(platform: &Platform, stations: u32) -> Result<f64> {
    let mut command = Command::new(program("voltgate")?);
    command.args(["seed", "--stations", &stations.to_string(), "--json"]);
    command.envs(platform.environment.iter().map(|(name, value)| (name, value)));
    let began = Instant::now();
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await?;
    let took = began.elapsed().as_secs_f64();
    if !output.status.success() {
        bail!("voltgate seed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let report: serde_json::Value =
        serde_json::from_slice(&output.stdout).context("the report of voltgate seed")?;
    if report["new_stations"] != stations {
        bail!("voltgate seed: {report}");
    }
    Ok(took)
}

impl OnDatabase {
    /// What is wrong, and which limits are not kept.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let slow = self.queries.iter().filter(|query| query.latency.p99_ms > LIMIT_MS);
        let mut faults: Vec<String> = slow
            .map(|query| {
                format!(
                    "{}: {}: p99 {:.1} ms, limit {LIMIT_MS}",
                    self.database, query.name, query.latency.p99_ms
                )
            })
            .collect();
        let kb = self.streams.kb_a_stream;
        if kb > STREAM_LIMIT_KB {
            faults.push(format!("{}: {kb:.1} kB a stream, limit {STREAM_LIMIT_KB}", self.database));
        }
        let bad = self.streams.incomplete;
        if bad > 0 {
            faults.push(format!("{}: {bad} streams have missed or disordered events", self.database));
        }
        faults
    }

    /// The result as a table.
    #[must_use]
    pub fn markdown(&self) -> String {
        let Self { database, stations, seed_s, settled_s, queries, streams } = self;
        let mut text = format!(
            "## {database}\n\n{stations} stations seeded in {seed_s:.1} s; their events published {settled_s:.1} s later.\n\n\
             | query (ms) | requests | items | p50 | p90 | p99 | max | p99 ≤ {LIMIT_MS} |\n\
             | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n"
        );
        for Query { name, items, latency, .. } in queries {
            let verdict = if latency.p99_ms <= LIMIT_MS { "yes" } else { "NO" };
            // A String takes every write.
            let _ = writeln!(
                text,
                "| {name} | {} | {items:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {verdict} |",
                latency.count, latency.p50_ms, latency.p90_ms, latency.p99_ms, latency.max_ms
            );
        }
        let _ = writeln!(text, "\n{streams}");
        text
    }
}
