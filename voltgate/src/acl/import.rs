//! `voltgate acl import`: many drivers from a file, some thousand lines a call, with progress. Invalid lines are
//! reported and skipped.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde_json::json;
use service_runtime::exit::Failure;

use super::args::Format;
use crate::client::Service;

/// Maximum lines in one call. If a call is interrupted, at most these are uncertain.
const LINES: u64 = 5000;
/// The rest of a longer line is not sent: acl-service rejects the line for its length anyway.
const MAX_LINE: usize = 8192;
/// Maximum number of rejected lines that are listed: a file of nothing else must not flood the terminal.
const MAX_NAMED: u64 = 100;

/// The import to run.
pub(super) struct Import {
    file: PathBuf,
    remove: bool,
    format: Format,
}

/// acl-service's response to one call.
#[derive(Debug, Deserialize)]
struct Answer {
    /// The header with which the next part has to begin, to be read as if the file were not cut. Only an older
    /// acl-service omits it.
    header: Option<String>,
    applied: u64,
    unchanged: u64,
    refused: u64,
    refusals: Vec<Refusal>,
}

#[derive(Debug, Deserialize)]
struct Refusal {
    line: u64,
    field: String,
    reason: String,
}

#[derive(Default)]
struct Report {
    lines: u64,
    applied: u64,
    unchanged: u64,
    refused: u64,
    named: u64,
}

impl Import {
    pub(super) fn new(file: PathBuf, remove: bool, format: Option<Format>) -> Self {
        let format = format.unwrap_or_else(|| {
            let extension = file.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
            if matches!(extension, "ndjson" | "jsonl") { Format::Ndjson } else { Format::Csv }
        });
        Self { file, remove, format }
    }

    async fn send(&self, acl: &Service, body: Vec<u8>) -> Result<Answer, Failure> {
        let (http, mut url) = acl.url(&["acl", "import"]);
        url.query_pairs_mut().append_pair("mode", if self.remove { "remove" } else { "add" });
        let kind = match self.format {
            Format::Ndjson => "application/x-ndjson",
            Format::Csv => "text/csv",
        };
        acl.send(http.post(url).header("content-type", kind).body(body)).await
    }
}

pub(super) async fn run(acl: &Service, import: &Import, as_json: bool) -> Result<ExitCode, Failure> {
    let unreadable = |error: io::Error| Failure::Refused(format!("{}: {error}", import.file.display()));
    let (mut input, size) = open(&import.file).map_err(unreadable)?;
    let progress = bar(size);
    let (mut report, mut header) = (Report::default(), Vec::new());
    loop {
        // Each further part begins with the header, as its line 1.
        let (mut part, mut lines, mut read) = (header.clone(), 0, 0);
        while lines < LINES {
            let taken = read_line(&mut input, &mut part).map_err(unreadable)?;
            if taken == 0 {
                break;
            }
            (lines, read) = (lines + 1, read + taken);
        }
        if lines == 0 {
            break;
        }
        let before = report.lines - u64::from(!header.is_empty());
        let answer = match import.send(acl, part).await {
            Ok(answer) => answer,
            Err(failure) => {
                progress.finish_and_clear();
                report.cut_off(before, lines, &failure);
                return Err(failure);
            }
        };
        report.add(before, lines, &answer, &progress);
        header = match (answer.header, import.format) {
            (Some(header), _) if !header.is_empty() => (header + "\n").into_bytes(),
            (None, Format::Csv) if lines == LINES => {
                let why = "acl-service is older than this command: it does not report the columns";
                return Err(Failure::broken(why.to_owned()));
            }
            _ => Vec::new(),
        };
        progress.inc(read as u64);
    }
    progress.finish_and_clear();
    report.print(as_json);
    Ok(ExitCode::from(u8::from(report.refused > 0)))
}

fn open(file: &Path) -> io::Result<(BufReader<Box<dyn Read>>, u64)> {
    if file == Path::new("-") {
        return Ok((BufReader::new(Box::new(io::stdin())), 0));
    }
    let opened = File::open(file)?;
    let size = opened.metadata()?.len();
    Ok((BufReader::new(Box::new(opened)), size))
}

/// Appends one line with its line break, or the part of it that may be sent; returns how many bytes were read.
fn read_line(input: &mut impl BufRead, part: &mut Vec<u8>) -> io::Result<usize> {
    let (mut taken, mut kept) = (0, 0);
    loop {
        let available = input.fill_buf()?;
        if available.is_empty() {
            return Ok(taken);
        }
        let end = available.iter().position(|byte| *byte == b'\n');
        let piece = end.map_or(available.len(), |end| end + 1);
        let keep = end.unwrap_or(piece).min(MAX_LINE - kept);
        part.extend_from_slice(&available[..keep]);
        if end.is_some() {
            part.push(b'\n');
        }
        (taken, kept) = (taken + piece, kept + keep);
        input.consume(piece);
        if end.is_some() {
            return Ok(taken);
        }
    }
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
    /// Adds the results of the lines after the first `before` ones.
    fn add(&mut self, before: u64, lines: u64, answer: &Answer, progress: &ProgressBar) {
        for refusal in &answer.refusals {
            if self.named < MAX_NAMED {
                let (line, Refusal { field, reason, .. }) = (before + refusal.line, refusal);
                progress.suspend(|| eprintln!("line {line}: {field}: {reason}"));
                self.named += 1;
            }
        }
        self.lines += lines;
        self.applied += answer.applied;
        self.unchanged += answer.unchanged;
        self.refused += answer.refused;
    }

    /// Reports what is certain after a call that failed, for the lines after the first `before` ones.
    fn cut_off(&self, before: u64, lines: u64, failure: &Failure) {
        let (done, next) = (self.lines, self.lines + lines);
        match failure {
            // For the first call the error itself says what was done.
            Failure::Refused(_) if done == 0 => return,
            Failure::Refused(_) => eprintln!("line 1 of the refused part is line {} of the file", before + 1),
            _ => {}
        }
        eprintln!(
            "lines 1 to {done} are done; of lines {} to {next} some may be done, and no later ones. Repeating a line \
             does no harm.",
            done + 1
        );
    }

    fn print(&self, as_json: bool) {
        let Self { lines, applied, unchanged, refused, named } = self;
        if as_json {
            let report =
                json!({"lines": lines, "applied": applied, "unchanged": unchanged, "refused": refused});
            println!("{report}");
            return;
        }
        if refused > named {
            eprintln!("{} more lines were refused", refused - named);
        }
        println!("{lines} lines read: {applied} applied, {unchanged} unchanged, {refused} refused");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_with_its_end_and_no_longer_than_it_may_be() {
        let long = format!("{}\nnext", "x".repeat(3 * MAX_LINE));
        let mut input = BufReader::with_capacity(1000, long.as_bytes());
        let mut part = Vec::new();
        assert_eq!(read_line(&mut input, &mut part).unwrap(), 3 * MAX_LINE + 1);
        assert_eq!((part.len(), part.last()), (MAX_LINE + 1, Some(&b'\n')));
        assert_eq!(read_line(&mut input, &mut part).unwrap(), 4);
        assert!(part.ends_with(b"\nnext"));
        assert_eq!(read_line(&mut input, &mut part).unwrap(), 0);
    }
}
