//! `POST /acl/import`: a stream of lines of any length, done batch by batch, with an answer that says of every line what
//! became of it.

mod csv;
mod line;
mod lines;

use std::time::Duration;

use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::{Data, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use common::ids::StationId;
use futures_util::StreamExt;
use http_api::problem::refusals::{BodyTooSlow, Internal, Invalid, Unavailable, UnsupportedMediaType};
use http_api::{Problem, body};
use serde::{Deserialize, Serialize};
use store::{Change, Counts, Store, StoreError};
use utoipa::{IntoParams, ToSchema};

use self::csv::{BadHeader, Csv};
use self::line::{Format, Refusal, Rejected};
use self::lines::{Line, Lines};
use crate::actor::actor;
use crate::changes::{BATCH, Changes};
use crate::error::{AclError, Answer};
use crate::times;

/// Refused lines that are named; of the rest there is a count.
const MOST_NAMED: usize = 100;
/// How long a body is read on that cannot be understood.
const PASSED_OVER: Duration = Duration::from_secs(5);
/// How long the next piece of the body may take.
const PIECE_LIMIT: Duration = Duration::from_secs(30);

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ImportQuery {
    #[param(value_type = Option<Mode>, inline)]
    mode: Option<String>,
}

/// What becomes of the drivers
#[derive(Clone, Copy, ToSchema)]
#[schema(as = ImportMode, rename_all = "snake_case")]
enum Mode {
    Add,
    Remove,
}

/// What was done, line by line
#[derive(Serialize, Default, ToSchema)]
pub(crate) struct Report {
    /// Under which the audit trail has it
    change_id: String,
    /// Lines read, also empty ones and comments.
    lines: u64,
    /// Entries that are not what they were.
    applied: u64,
    /// Entries that were so already.
    unchanged: u64,
    refused: u64,
    /// Every good line up to this one is done. Of those behind it some may be.
    applied_through_line: u64,
    /// Whether all of the body was read and done.
    complete: bool,
    /// For CSV, as the last line left it: what the next part of the same file has to begin with to be read in its columns.
    header: String,
    refusals: Vec<RefusedLine>,
    /// How many were refused beyond those that are named.
    refusals_not_named: u64,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct RefusedLine {
    line: u64,
    field: &'static str,
    reason: String,
}

/// Why an import ends before its body does.
enum CutOff {
    Body(Problem),
    Store(StoreError),
}

/// Change many entries, a line each
///
/// CSV: `station_id,driver_token[,from[,until]]`, or other columns named by a header; NDJSON: objects with these fields. Good
/// lines are done, bad ones reported. A header that is not understood ends it.
#[utoipa::path(post, path = "/acl/import", operation_id = "import_entries", tag = "lists", params(ImportQuery),
    request_body(content((String = "application/x-ndjson"), (String = "text/csv"))),
    responses((status = 200, description = "All of it was read", body = Report), Invalid, BodyTooSlow,
        UnsupportedMediaType, Internal, Unavailable))]
pub(crate) async fn import(
    store: Data<Store>,
    query: Query<ImportQuery>,
    request: HttpRequest,
    payload: Payload,
) -> Answer {
    let (mode, action) = match query.mode.as_deref() {
        None | Some("add") => (Mode::Add, "import"),
        Some("remove") => (Mode::Remove, "import_remove"),
        Some(_) => return Err(Problem::invalid("mode", "expected add or remove").into()),
    };
    let import = Import {
        format: format(&request)?,
        mode,
        changes: Changes::new(&store, actor(&request), action),
        report: Report::default(),
        batch: Vec::with_capacity(BATCH),
        ended: None,
    };
    // Not ended by a client that goes away: what was begun is to be concluded in the audit trail. It ends with the body.
    let done = actix_web::rt::spawn(import.run(payload)).await;
    done.map_err(|_| Problem::internal("the import broke; the audit trail says how far it came"))?
}

struct Import {
    format: Format,
    mode: Mode,
    changes: Changes,
    report: Report,
    batch: Vec<(StationId, Change)>,
    /// Why no more lines are taken.
    ended: Option<BadHeader>,
}

impl Import {
    async fn run(mut self, payload: Payload) -> Answer {
        let done = self.read(payload).await;
        let Report { applied, unchanged, refused, .. } = self.report;
        let counts = Counts { applied, unchanged, refused };
        self.report.change_id = self.changes.id().to_owned();
        self.report.complete = done.is_ok();
        self.report.header = self.format.header();
        match done {
            Ok(()) => {
                self.changes.applied(counts).await;
                Ok(HttpResponse::Ok().json(self.report))
            }
            Err(cut_off) => {
                self.changes.failed(Some(counts)).await;
                let report = serde_json::to_value(&self.report).unwrap_or_default();
                Err(match cut_off {
                    CutOff::Body(problem) => problem.with_report(report).into(),
                    CutOff::Store(error) => AclError::Interrupted { error, report },
                })
            }
        }
    }

    async fn read(&mut self, mut payload: Payload) -> Result<(), CutOff> {
        let mut lines = Lines::default();
        loop {
            let piece = tokio::time::timeout(PIECE_LIMIT, payload.next()).await;
            let piece = match piece {
                Ok(Some(Ok(piece))) => piece,
                Ok(None) => break,
                Ok(Some(Err(error))) => {
                    return self.end_of_body(Problem::invalid("body", error.to_string())).await;
                }
                Err(_) => return self.end_of_body(Problem::body_too_slow(PIECE_LIMIT)).await,
            };
            // So many lines at a time that what they want is never much more than a batch.
            for part in piece.chunks(16 * 1024) {
                lines.push(part, |line| self.take(&line));
                if let Some(bad) = self.ended.take() {
                    return self.end_of_columns(&bad, payload).await;
                }
                if self.batch.len() >= BATCH {
                    self.apply().await?;
                }
            }
        }
        lines.finish(|line| self.take(&line));
        match self.ended.take() {
            Some(bad) => self.end_of_columns(&bad, payload).await,
            None => self.apply().await,
        }
    }

    /// A header that is not understood: nothing behind it can be read.
    async fn end_of_columns(&mut self, bad: &BadHeader, payload: Payload) -> Result<(), CutOff> {
        self.apply().await?;
        let done = match self.report.applied + self.report.unchanged {
            0 => "nothing was done",
            _ => "what is above it is done",
        };
        pass_over(payload).await;
        Err(CutOff::Body(Problem::invalid("header", format!("line {}: {bad}; {done}", self.report.lines))))
    }

    /// A body that breaks off: what was read of it is done, but for a line without its end.
    async fn end_of_body(&mut self, problem: Problem) -> Result<(), CutOff> {
        self.apply().await?;
        Err(CutOff::Body(problem))
    }

    fn take(&mut self, line: &Line<'_>) {
        if self.ended.is_some() {
            return;
        }
        self.report.lines += 1;
        match self.format.read(line, times::now()) {
            Ok(None) => {}
            Ok(Some((station, entry))) => self.batch.push(match self.mode {
                Mode::Add => (station, Change::Admit(entry)),
                Mode::Remove => (station, Change::Remove(entry.token)),
            }),
            Err(Rejected::Line(refusal)) => self.report.refuse(refusal),
            Err(Rejected::Import(bad)) => self.ended = Some(bad),
        }
    }

    async fn apply(&mut self) -> Result<(), CutOff> {
        let changed = self.changes.each(&self.batch).await.map_err(CutOff::Store)?;
        self.report.applied += changed;
        self.report.unchanged += (self.batch.len() as u64).saturating_sub(changed);
        self.report.applied_through_line = self.report.lines;
        self.batch.clear();
        Ok(())
    }
}

impl Report {
    fn refuse(&mut self, refusal: Refusal) {
        self.refused += 1;
        if self.refusals.len() < MOST_NAMED {
            let Refusal { field, reason } = refusal;
            self.refusals.push(RefusedLine { line: self.lines, field, reason });
        } else {
            self.refusals_not_named += 1;
        }
    }
}

/// Reads on for a moment, since many clients look for an answer only when they have sent all.
async fn pass_over(mut payload: Payload) {
    let rest = async { while let Some(Ok(_)) = payload.next().await {} };
    let _ = tokio::time::timeout(PASSED_OVER, rest).await;
}

fn format(request: &HttpRequest) -> Result<Format, Problem> {
    body::not_compressed(request)?;
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("text/csv") {
        Ok(Format::Csv(Csv::default()))
    } else if kind.eq_ignore_ascii_case("application/x-ndjson") {
        Ok(Format::Ndjson)
    } else {
        Err(Problem::unsupported_media_type("expected application/x-ndjson or text/csv"))
    }
}
