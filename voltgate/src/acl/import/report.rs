//! What became of the lines of an import: on the terminal, in the file of refused lines, and at the end.

use std::fs::{File, Metadata};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use common::ids::RequestId;
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use service_runtime::exit::Failure;

use super::parts::{MAX_LINE, Part};
use crate::acl::args::ImportArgs;
use crate::terminal;

/// Maximum number of refused lines that are shown: a file of nothing else must not flood the terminal.
const MAX_SHOWN: usize = 100;
/// Maximum number of refused lines in the JSON report.
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
    /// For CSV, the columns by which the line was read.
    #[serde(default, skip_serializing)]
    header: String,
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
    dry_run: bool,
    /// The id of the whole import in the audit trail.
    pub(super) change_id: String,
}

/// The file of refused lines.
struct RefusedLines {
    path: PathBuf,
    file: BufWriter<File>,
    /// The last header that was written; `None` before the first line.
    header: Option<String>,
}

impl Report {
    /// Opens the file of refused lines, if there is to be one.
    pub(super) fn new(args: &ImportArgs) -> Result<Self, Failure> {
        let file = args.refused.as_deref().map(|path| RefusedLines::open(path, &args.file)).transpose()?;
        let dry_run = args.dry_run;
        Ok(Self {
            lines: 0,
            refused: 0,
            valid: 0,
            applied: 0,
            unchanged: 0,
            refusals: Vec::new(),
            file,
            dry_run,
            change_id: RequestId::new().to_string(),
        })
    }

    /// Adds the results of a part. `with_header` is whether a header was sent before its lines.
    pub(super) fn add(
        &mut self,
        part: &Part,
        with_header: bool,
        answer: Answer,
        progress: &ProgressBar,
    ) -> Result<(), Failure> {
        let first = self.lines;
        let texts: Vec<&[u8]> = part.text.split(|byte| *byte == b'\n').collect();
        self.lines += part.lines;
        self.valid += answer.valid;
        self.applied += answer.applied;
        self.unchanged += answer.unchanged;
        self.refused += answer.refused;
        for refusal in answer.refusals {
            let index = refusal.line.saturating_sub(1 + u64::from(with_header));
            let refusal = Refusal { line: first + 1 + index, ..refusal };
            if self.refusals.len() < MAX_SHOWN {
                progress.suspend(|| eprintln!("{refusal}"));
            }
            if let Some(file) = &mut self.file {
                let text = usize::try_from(index).ok().and_then(|index| texts.get(index).copied());
                file.add(&refusal, text.unwrap_or_default())?;
            }
            if self.refusals.len() < MAX_LISTED {
                self.refusals.push(refusal);
            }
        }
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
        if let Some(RefusedLines { path, header: Some(_), .. }) = &self.file {
            eprintln!("the lines refused so far are in {}", path.display());
        }
        let (done, next) = (self.lines, self.lines + lines);
        if self.dry_run {
            eprintln!("{done} lines were checked; nothing was changed");
            return;
        }
        let before = match done {
            0 => "no line is certainly done".to_owned(),
            _ => format!("lines 1 to {done} are done (change id {})", self.change_id),
        };
        let after = match lines {
            0 => "no later line is".to_owned(),
            _ => format!("of lines {} to {next} some may be done, and no later ones", done + 1),
        };
        eprintln!("{before}; {after}. Repeating a line does no harm.");
    }

    /// Prints the results of the whole file.
    pub(super) fn print(mut self, as_json: bool) -> Result<(), Failure> {
        let written = self.file.as_mut().map_or(Ok(()), RefusedLines::finish);
        if as_json {
            terminal::line(&self.as_json().to_string());
            return written;
        }
        let Self { lines, valid, applied, unchanged, refused, dry_run, change_id, .. } = &self;
        let unshown = refused.saturating_sub(MAX_SHOWN as u64);
        match &self.file {
            Some(file) if *refused > 0 => eprintln!("the refused lines are in {}", file.path.display()),
            None if unshown > 0 => {
                eprintln!("{unshown} more lines were refused; --refused FILE lists all of them");
            }
            _ => {}
        }
        if *dry_run {
            terminal::line(&format!(
                "{lines} lines read: {valid} valid, {refused} refused; nothing was changed"
            ));
        } else {
            if *valid > 0 {
                eprintln!("change id: {change_id}");
            }
            terminal::line(&format!(
                "{lines} lines read: {applied} applied, {unchanged} unchanged, {refused} refused"
            ));
        }
        written
    }

    fn as_json(&self) -> Value {
        let Self { lines, valid, applied, unchanged, refused, refusals, dry_run, change_id, .. } = self;
        let mut report = json!({
            "lines": lines, "valid": valid, "applied": applied, "unchanged": unchanged, "refused": refused,
            "refusals": refusals, "refusals_not_named": refused.saturating_sub(refusals.len() as u64),
            "dry_run": dry_run,
        });
        if !dry_run {
            report["change_id"] = change_id.as_str().into();
        }
        report
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { line, field, reason, .. } = self;
        write!(f, "line {line}: {field}: {reason}")
    }
}

impl RefusedLines {
    /// An earlier file is kept until the first line is refused, or the import has ended without one.
    fn open(path: &Path, input: &Path) -> Result<Self, Failure> {
        let input = if input == Path::new("-") { Path::new("/dev/stdin") } else { input };
        let same = |one: Metadata, other: Metadata| (one.dev(), one.ino()) == (other.dev(), other.ino());
        let opened = File::options().create(true).write(true).truncate(false).open(path);
        let file = opened.map_err(|error| unwritten(path, &error))?;
        if let (Ok(one), Ok(other)) = (file.metadata(), std::fs::metadata(input))
            && same(one, other)
        {
            return Err(Failure::Usage(format!("--refused {}: it is the file to import", path.display())));
        }
        Ok(Self { path: path.to_owned(), file: BufWriter::new(file), header: None })
    }

    /// Both formats take a line that begins with # for a comment.
    fn add(&mut self, refusal: &Refusal, text: &[u8]) -> Result<(), Failure> {
        let mut write = || {
            if self.header.is_none() {
                self.file.get_ref().set_len(0)?;
            }
            if self.header.as_ref() != Some(&refusal.header) {
                // A further header holds from there on.
                if !refusal.header.is_empty() {
                    writeln!(self.file, "{}", refusal.header)?;
                }
                self.header = Some(refusal.header.clone());
            }
            let cut = if text.len() >= MAX_LINE { " (only its beginning is here)" } else { "" };
            writeln!(self.file, "# {refusal}{cut}")?;
            self.file.write_all(text.strip_suffix(b"\r").unwrap_or(text))?;
            self.file.write_all(b"\n")
        };
        write().map_err(|error| unwritten(&self.path, &error))
    }

    fn finish(&mut self) -> Result<(), Failure> {
        if self.header.is_none() {
            self.file.get_ref().set_len(0).map_err(|error| unwritten(&self.path, &error))?;
        }
        self.file.flush().map_err(|error| unwritten(&self.path, &error))
    }
}

fn unwritten(path: &Path, error: &io::Error) -> Failure {
    Failure::Refused(format!("--refused {}: {error}", path.display()))
}
