//! `voltgate acl import`: many drivers from a file, a thousand to a call, with progress; bad lines are named and left out.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::ExitCode;

use common::exit::Failure;
use common::ids::{DriverToken, StationId};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde_json::json;

use crate::client::Service;

/// Drivers in one call, and lines held at a time.
const BATCH: usize = 1000;
const LONGEST_LINE: u64 = 4096;
/// A refused line is named; a file of nothing but those must not flood the terminal.
const MOST_NAMED: u64 = 20;

#[derive(Debug, Deserialize)]
struct ChangedMany {
    added: u64,
}

#[derive(Default)]
struct Report {
    lines: u64,
    added: u64,
    refused: u64,
}

pub(crate) async fn run(acl: &Service, file: &Path, as_json: bool) -> Result<ExitCode, Failure> {
    let unreadable = |error: std::io::Error| Failure::Refused(format!("{}: {error}", file.display()));
    let (input, size): (Box<dyn Read>, u64) = if file == Path::new("-") {
        (Box::new(std::io::stdin()), 0)
    } else {
        let opened = File::open(file).map_err(unreadable)?;
        let size = opened.metadata().map_err(unreadable)?.len();
        (Box::new(opened), size)
    };
    let progress = bar(size);
    let mut report = Report::default();
    let mut batch = Batch::default();
    let mut input = BufReader::new(input);
    let mut line = Vec::new();
    loop {
        line.clear();
        // A line with its end; a longer one is taken in pieces, each of which is refused.
        let read = (&mut input).take(LONGEST_LINE).read_until(b'\n', &mut line).map_err(unreadable)?;
        if read == 0 {
            break;
        }
        report.lines += 1;
        take(&line, &mut batch, &mut report, &progress);
        if batch.count >= BATCH {
            report.added += batch.send(acl).await?;
        }
        progress.inc(read as u64);
    }
    report.added += batch.send(acl).await?;
    progress.finish_and_clear();
    report.print(as_json);
    Ok(ExitCode::from(u8::from(report.refused > 0)))
}

/// Drivers by station, as acl-service takes them.
#[derive(Default)]
struct Batch {
    by_station: BTreeMap<String, Vec<String>>,
    count: usize,
}

impl Batch {
    async fn send(&mut self, acl: &Service) -> Result<u64, Failure> {
        let mut added = 0;
        for (station, tokens) in std::mem::take(&mut self.by_station) {
            let (http, url) = acl.url(&["station", &station, "acl"]);
            let changed: ChangedMany =
                acl.send(http.put(url).json(&json!({ "driver_tokens": tokens }))).await?;
            added += changed.added;
        }
        self.count = 0;
        Ok(added)
    }
}

fn take(line: &[u8], batch: &mut Batch, report: &mut Report, progress: &ProgressBar) {
    let text = String::from_utf8_lossy(line);
    // Excel begins a file with a byte order mark.
    let text = text.trim_start_matches('\u{feff}').trim();
    let header = report.lines == 1 && text.starts_with("station_id");
    if text.is_empty() || text.starts_with('#') || header {
        return;
    }
    match parse(text) {
        Ok((station, token)) => {
            batch.by_station.entry(station.to_string()).or_default().push(token.expose().to_owned());
            batch.count += 1;
        }
        Err(why) => {
            report.refused += 1;
            if report.refused <= MOST_NAMED {
                progress.suspend(|| eprintln!("line {}: {why}", report.lines));
            }
        }
    }
}

fn parse(line: &str) -> Result<(StationId, DriverToken), String> {
    let (station, token) = line.split_once([',', ';', '\t']).ok_or("expected station_id,driver_token")?;
    let station = station.trim().trim_matches('"').parse().map_err(|error| format!("station_id: {error}"))?;
    let token = DriverToken::parse(token.trim().trim_matches('"'))
        .map_err(|error| format!("driver_token: {error}"))?;
    Ok((station, token))
}

/// Drawn on standard error, on a terminal only.
fn bar(size: u64) -> ProgressBar {
    let progress = if size == 0 { ProgressBar::new_spinner() } else { ProgressBar::new(size) };
    let template = "importing {bar:40} {percent:>3} % of {total_bytes}, {eta} left";
    if size > 0
        && let Ok(style) = ProgressStyle::with_template(template)
    {
        progress.set_style(style);
    }
    progress
}

impl Report {
    fn print(&self, as_json: bool) {
        let Self { lines, added, refused } = self;
        if as_json {
            println!("{}", json!({ "lines": lines, "added": added, "refused": refused }));
        } else {
            println!("{lines} lines read, {added} drivers added, {refused} lines refused");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_a_station_and_a_driver() {
        let good = "123E4567-e89b-12d3-a456-426614174000, \"valid_driver_token_12345\"";
        let (station, token) = parse(good).unwrap();
        assert_eq!(station.to_string(), "123e4567-e89b-12d3-a456-426614174000");
        assert_eq!(token.expose(), "valid_driver_token_12345");
        for (bad, culprit) in [
            ("nothing", "expected station_id,driver_token"),
            ("x,valid_driver_token_12345", "station_id"),
            ("123e4567-e89b-12d3-a456-426614174000,short", "driver_token"),
        ] {
            assert!(parse(bad).unwrap_err().contains(culprit), "{bad}");
        }
    }
}
