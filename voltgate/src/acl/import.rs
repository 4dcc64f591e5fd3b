//! `voltgate acl import`: many drivers from a file, some thousand lines a call, with progress. Invalid lines are
//! reported and skipped.

mod parts;
mod report;

use std::io;
use std::process::ExitCode;

use common::ids::RequestId;
use indicatif::{ProgressBar, ProgressStyle};
use service_runtime::exit::Failure;
use tokio::signal::unix::{SignalKind, signal};

use self::parts::{LINES, parts};
use self::report::{Answer, Report};
use super::args::{Format, ImportArgs};
use crate::client::Service;

/// How a shell reports a process that SIGINT ended.
const INTERRUPTED: u8 = 130;

/// The calls of one import, which share a change id in the audit trail.
struct Import<'a> {
    acl: &'a Service,
    args: &'a ImportArgs,
    format: Format,
    change_id: String,
}

impl Import<'_> {
    async fn send(&self, body: Vec<u8>) -> Result<Answer, Failure> {
        let (http, mut url) = self.acl.url(&["acl", "import"]);
        url.query_pairs_mut()
            .append_pair("mode", if self.args.remove { "remove" } else { "add" })
            .append_pair("dry_run", if self.args.dry_run { "true" } else { "false" })
            .append_pair("change_id", &self.change_id)
            .append_pair("max_refusals", &LINES.to_string());
        let kind = match self.format {
            Format::Ndjson => "application/x-ndjson",
            Format::Csv => "text/csv",
        };
        self.acl.send(http.post(url).header("content-type", kind).body(body)).await
    }
}

pub(super) async fn run(acl: &Service, args: &ImportArgs, as_json: bool) -> Result<ExitCode, Failure> {
    let unreadable = |error: io::Error| Failure::Refused(format!("{}: {error}", args.file.display()));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::broken)?;
    let import = Import { acl, args, format: format(args), change_id: RequestId::new().to_string() };
    let (mut parts, size) = parts(&args.file).map_err(unreadable)?;
    let progress = bar(size);
    let mut report = Report::new(&args.file, args.refused.as_deref())?;
    // Each further part begins with the header, as its line 1.
    let mut header = Vec::new();
    loop {
        let part = tokio::select! {
            part = parts.recv() => match part {
                Some(part) => part.map_err(unreadable)?,
                None => break,
            },
            _ = interrupt.recv() => {
                progress.finish_and_clear();
                report.how_far(0);
                return Ok(ExitCode::from(INTERRUPTED));
            }
        };
        let answer = tokio::select! {
            answer = import.send([&header[..], &part.text].concat()) => answer,
            _ = interrupt.recv() => {
                progress.finish_and_clear();
                report.how_far(part.lines);
                return Ok(ExitCode::from(INTERRUPTED));
            }
        };
        let answer = answer.inspect_err(|failure| {
            progress.finish_and_clear();
            report.cut_off(part.lines, failure, !header.is_empty());
        })?;
        let next =
            if answer.header.is_empty() { Vec::new() } else { format!("{}\n", answer.header).into_bytes() };
        report.add(&part, !header.is_empty(), answer, &progress)?;
        header = next;
        progress.inc(part.read);
    }
    progress.finish_and_clear();
    let refused = report.refused;
    report.print(as_json, args.dry_run, &import.change_id)?;
    Ok(ExitCode::from(u8::from(refused > 0)))
}

fn format(args: &ImportArgs) -> Format {
    args.format.unwrap_or_else(|| {
        let extension = args.file.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        if matches!(extension, "ndjson" | "jsonl") { Format::Ndjson } else { Format::Csv }
    })
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
