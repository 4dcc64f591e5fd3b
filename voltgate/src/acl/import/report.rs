//! What became of the lines of an import: on the terminal, in the file of rejected lines, and at the end.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use serde_json::json;
use service_runtime::exit::Failure;

use super::parts::Part;
use crate::terminal;

/// Maximum number of rejected lines that are shown: a file of nothing else must not flood the terminal.
const MAX_SHOWN: usize = 100;
/// Maximum number of rejected lines in the JSON report.
const MAX_LISTED: usize = 10_000;

/// acl-service's response to one call.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    /// For CSV, the header with which the next part has to begin, to be read as if the file were not cut.
    pub(super) header: String,
    valid: u64,
    applied: u64,
    unchanged: u64,
    refused: u64,
    refusals: Vec<Refusal>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Refusal {
    line: u64,
    field: String,
    reason: String,
}

/// The results so far.
pub(super) struct Report {
    pub(super) lines: u64,
    pub(super) refused: u64,
    valid: u64,
    applied: u64,
    unchanged: u64,
    refusals: Vec<Refusal>,
    file: Option<RefusedLines>,
}

/// The file of rejected lines.
struct RefusedLines {
    path: PathBuf,
    file: BufWriter<File>,
    has_header: bool,
}

impl Report {
    /// Creates the file of rejected lines, if there is to be one.
    pub(super) fn new(input: &Path, refused: Option<&Path>) -> Result<Self, Failure> {
        let file = refused.map(|path| RefusedLines::create(path, input)).transpose()?;
        Ok(Self { lines: 0, refused: 0, valid: 0, applied: 0, unchanged: 0, refusals: Vec::new(), file })
    }

    /// Adds the results of a part. `with_header` is whether a header was sent before its lines.
    pub(super) fn add(
        &mut self,
        part: &Part,
        with_header: bool,
        answer: Answer,
        progress: &ProgressBar,
    ) -> Result<(), Failure> {
        let before = self.lines - u64::from(with_header);
        let texts: Vec<&[u8]> = part.text.split(|byte| *byte == b'\n').collect();
        for Refusal { line, field, reason } in answer.refusals {
            let refusal = Refusal { line: before + line, field, reason };
            if let Some(file) = &mut self.file {
                let index = usize::try_from(refusal.line - self.lines - 1).unwrap_or(usize::MAX);
                file.add(&answer.header, &refusal, texts.get(index).copied().unwrap_or_default())?;
            }
            if self.refusals.len() < MAX_SHOWN {
                progress.suspend(|| eprintln!("{refusal}"));
            }
            if self.refusals.len() < MAX_LISTED {
                self.refusals.push(refusal);
            }
        }
        self.lines += part.lines;
        self.valid += answer.valid;
        self.applied += answer.applied;
        self.unchanged += answer.unchanged;
        self.refused += answer.refused;
        Ok(())
    }

    /// Reports what is certain after a call that did not end well: that of the next `lines` lines.
    pub(super) fn cut_off(&self, lines: u64, failure: &Failure, with_header: bool) {
        let done = self.lines;
        match failure {
            // For the first call the error itself says what was done.
            Failure::Refused(_) if done == 0 => return,
            Failure::Refused(_) => {
                let first = done + 1 - u64::from(with_header);
                eprintln!("line 1 of the refused part is line {first} of the file");
            }
            _ => {}
        }
        self.how_far(lines);
    }

    /// Reports what is certain if the next `lines` lines were sent and not answered.
    pub(super) fn how_far(&self, lines: u64) {
        let (done, next) = (self.lines, self.lines + lines);
        let before = if done == 0 {
            "no line is certainly done".to_owned()
        } else {
            format!("lines 1 to {done} are done")
        };
        let after = if lines == 0 {
            "no later line is".to_owned()
        } else {
            format!("of lines {} to {next} some may be done, and no later ones", done + 1)
        };
        eprintln!("{before}; {after}. Repeating a line does no harm.");
    }

    /// Prints the results of the whole file.
    pub(super) fn print(mut self, as_json: bool, dry_run: bool, change_id: &str) -> Result<(), Failure> {
        if let Some(file) = &mut self.file {
            file.finish()?;
        }
        let Self { lines, valid, applied, unchanged, refused, refusals, file } = &self;
        if as_json {
            let mut report = json!({
                "lines": lines, "valid": valid, "applied": applied, "unchanged": unchanged, "refused": refused,
                "refusals": refusals, "refusals_not_named": refused.saturating_sub(refusals.len() as u64),
                "dry_run": dry_run,
            });
            if !dry_run {
                report["change_id"] = change_id.into();
            }
            terminal::line(&report.to_string());
            return Ok(());
        }
        let unshown = refused.saturating_sub(MAX_SHOWN as u64);
        match file {
            Some(file) if *refused > 0 => eprintln!("the refused lines are in {}", file.path.display()),
            None if unshown > 0 => {
                eprintln!("{unshown} more lines were refused; --refused FILE lists all of them");
            }
            _ => {}
        }
        if dry_run {
            println!("{lines} lines read: {valid} valid, {refused} refused; nothing was changed");
        } else {
            eprintln!("it is change {change_id} in the audit trail");
            println!("{lines} lines read: {applied} applied, {unchanged} unchanged, {refused} refused");
        }
        Ok(())
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { line, field, reason } = self;
        write!(f, "line {line}: {field}: {reason}")
    }
}

impl RefusedLines {
    fn create(path: &Path, input: &Path) -> Result<Self, Failure> {
        let same =
            path.canonicalize().ok().zip(input.canonicalize().ok()).is_some_and(|(one, other)| one == other);
        if same {
            return Err(Failure::Usage(format!("--refused {}: it is the file to import", path.display())));
        }
        let file = File::create(path).map_err(|error| unwritten(path, &error))?;
        Ok(Self { path: path.to_owned(), file: BufWriter::new(file), has_header: false })
    }

    /// Both formats take a line that begins with # for a comment.
    fn add(&mut self, header: &str, refusal: &Refusal, text: &[u8]) -> Result<(), Failure> {
        let mut write = || {
            if !std::mem::replace(&mut self.has_header, true) && !header.is_empty() {
                writeln!(self.file, "{header}")?;
            }
            writeln!(self.file, "# {refusal}")?;
            self.file.write_all(text.strip_suffix(b"\r").unwrap_or(text))?;
            self.file.write_all(b"\n")
        };
        write().map_err(|error| unwritten(&self.path, &error))
    }

    fn finish(&mut self) -> Result<(), Failure> {
        self.file.flush().map_err(|error| unwritten(&self.path, &error))
    }
}

fn unwritten(path: &Path, error: &io::Error) -> Failure {
    Failure::Refused(format!("--refused {}: {error}", path.display()))
}
