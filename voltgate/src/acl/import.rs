//! `voltgate acl import`: many drivers from a file, some thousand lines a call, with progress. Invalid lines are
//! reported and skipped.

mod parts;
mod report;

use std::io;
use std::path::Path;
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use service_runtime::exit::Failure;
use tokio::signal::unix::{SignalKind, signal};

use self::parts::{LINES, parts};
use self::report::{Answer, Report};
use super::args::{Format, ImportArgs};
use crate::client::Service;
use crate::terminal::Progress;

/// How a shell reports a process that SIGINT ended.
const INTERRUPTED: u8 = 130;

/// The calls of one import.
struct Import<'a> {
    acl: &'a Service,
    args: &'a ImportArgs,
}

impl Import<'_> {
    async fn send(&self, format: Format, change_id: &str, body: Vec<u8>) -> Result<Answer, Failure> {
        let (http, mut url) = self.acl.url(&["acl", "import"]);
        url.query_pairs_mut()
            .append_pair("mode", if self.args.remove { "remove" } else { "add" })
            .append_pair("dry_run", if self.args.dry_run { "true" } else { "false" })
            .append_pair("change_id", change_id)
            .append_pair("max_refusals", &LINES.to_string());
        let kind = match format {
            Format::Ndjson => "application/x-ndjson",
            Format::Csv => "text/csv",
        };
        self.acl.send(http.post(url).header("content-type", kind).body(body)).await
    }

    /// Sends part after part. Returns `false` if it was interrupted. What is certain after an error or an interrupt is
    /// reported.
    async fn run(&self, report: &mut Report) -> Result<bool, Failure> {
        let unreadable =
            |error: io::Error| Failure::Refused(format!("{}: {error}", self.args.file.display()));
        let (mut parts, size) = parts(&self.args.file).map_err(unreadable)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::broken)?;
        let progress = Progress(bar(size));
        // Each further part begins with the header, as its line 1.
        let mut header = Vec::new();
        let mut format = self.args.format;
        loop {
            let part = tokio::select! {
                part = parts.recv() => part.transpose(),
                _ = interrupt.recv() => {
                    progress.clear();
                    report.how_far(0);
                    return Ok(false);
                }
            };
            let ended = |report: &Report| {
                progress.clear();
                report.how_far(0);
            };
            let part = part.map_err(unreadable).inspect_err(|_| ended(report))?;
            let Some(part) = part else { return Ok(true) };
            let with_header = !header.is_empty();
            let format = *format.get_or_insert_with(|| guessed(&self.args.file, &part.text));
            let answer = tokio::select! {
                answer = self.send(format, &report.change_id, [&header[..], &part.text].concat()) => answer,
                _ = interrupt.recv() => {
                    progress.clear();
                    report.how_far(part.lines);
                    return Ok(false);
                }
            };
            let answer = answer.inspect_err(|failure| {
                progress.clear();
                report.cut_off(part.lines, failure, with_header);
            })?;
            header = match answer.header.as_str() {
                "" => Vec::new(),
                columns => format!("{columns}\n").into_bytes(),
            };
            report.add(&part, with_header, answer, &progress.0).inspect_err(|_| ended(report))?;
            progress.0.inc(part.read);
        }
    }
}

pub(super) async fn run(acl: &Service, args: &ImportArgs, as_json: bool) -> Result<ExitCode, Failure> {
    let mut report = Report::new(args)?;
    let import = Import { acl, args };
    if !import.run(&mut report).await? {
        return Ok(ExitCode::from(INTERRUPTED));
    }
    let refused = report.refused;
    report.print(as_json)?;
    Ok(ExitCode::from(u8::from(refused > 0)))
}

/// By the file's name; of another name by its first character, because no line of CSV begins with a brace.
fn guessed(file: &Path, text: &[u8]) -> Format {
    let extension = file.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let named = matches!(extension, "ndjson" | "jsonl");
    if named || text.trim_ascii_start().starts_with(b"{") { Format::Ndjson } else { Format::Csv }
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
