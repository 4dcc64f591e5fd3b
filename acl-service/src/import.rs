//! `POST /acl/import`: a stream of any number of lines, applied in batches. The response reports the result of every
//! line.

mod csv;
mod line;

use std::time::Duration;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use common::ids::{NotUuid, RequestId, StationId};
use http_server::body::lines::{Line, Lines};
use http_server::openapi::refusals::{BodyTooSlow, Internal, Invalid, Unavailable, UnsupportedMediaType};
use http_server::{Problem, Query, body, query};
use serde::{Deserialize, Serialize};
use store::{AccessStore, Change, Counts, StoreError};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use self::csv::{BadHeader, Csv};
use self::line::{Format, Refusal, Rejected};
use crate::actor::{Author, actor};
use crate::changes::{BATCH, Changes};
use crate::error::{AclError, Answer};
use crate::validity;

/// Longer lines are rejected.
const MAX_LINE: usize = 4096;
/// How many rejected lines are listed by default, and at most; the rest is only counted.
const NAMED: usize = 100;
const MAX_NAMED: usize = 10_000;
/// Time limit for the next chunk of the body.
const PIECE_LIMIT: Duration = Duration::from_secs(30);

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ImportQuery {
    #[param(value_type = Option<Mode>, inline)]
    mode: Option<String>,
    /// Whether the lines are only checked, and nothing is changed
    #[param(value_type = Option<bool>, default = false)]
    dry_run: Option<String>,
    /// The change id of a whole import, if this call is a part of it; otherwise the call gets one of its own. Each entry of
    /// the audit trail names its own author
    #[param(value_type = Option<RequestId>)]
    change_id: Option<String>,
    /// How many rejected lines are listed
    #[param(value_type = Option<u32>, maximum = 10_000, default = 100)]
    max_refusals: Option<String>,
}

/// The parameters, parsed.
struct Options {
    mode: Mode,
    dry_run: bool,
    change_id: Option<RequestId>,
    max_refusals: usize,
}

impl ImportQuery {
    fn parse(&self) -> Result<Options, Problem> {
        let bad = Problem::invalid;
        Ok(Options {
            mode: match self.mode.as_deref() {
                None | Some("add") => Mode::Add,
                Some("remove") => Mode::Remove,
                Some(_) => return Err(bad("mode", "expected add or remove")),
            },
            dry_run: query::flag("dry_run", self.dry_run.as_deref())?,
            change_id: match self.change_id.as_deref().map(str::parse) {
                None => None,
                Some(Ok(id)) => Some(id),
                Some(Err(NotUuid)) => return Err(bad("change_id", "expected a UUID")),
            },
            max_refusals: match self.max_refusals.as_deref().map(str::parse) {
                None => NAMED,
                Some(Ok(count)) if count <= MAX_NAMED => count,
                Some(_) => return Err(bad("max_refusals", "expected a number, at most 10000")),
            },
        })
    }
}

/// What to do with the drivers
#[derive(Clone, Copy, ToSchema)]
#[schema(as = ImportMode, rename_all = "snake_case")]
enum Mode {
    Add,
    Remove,
}

/// The results of an import
#[derive(Serialize, Default, ToSchema)]
pub(crate) struct Report {
    /// The id of this call, or of the import that it is a part of, in the audit trail
    change_id: String,
    /// Lines read, including empty ones and comments
    lines: u64,
    /// Lines with a valid entry
    valid: u64,
    /// Entries that changed
    applied: u64,
    /// Entries that were already as requested
    unchanged: u64,
    refused: u64,
    /// Every valid line up to this one is applied. Some later lines may be, too
    applied_through_line: u64,
    /// Whether the whole body was read and applied
    complete: bool,
    /// For CSV, the columns after the last line: the header with which the next part of the same file has to begin
    header: String,
    refusals: Vec<RefusedLine>,
    /// How many more lines were rejected than `refusals` lists
    refusals_not_named: u64,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct RefusedLine {
    line: u64,
    field: &'static str,
    reason: String,
    /// For CSV, the columns by which the line was read
    header: String,
}

/// The body in the document: bytes, because clients stream it.
struct Body;

impl PartialSchema for Body {
    fn schema() -> RefOr<Schema> {
        let binary = SchemaFormat::KnownFormat(KnownFormat::Binary);
        ObjectBuilder::new().schema_type(Type::String).format(Some(binary)).build().into()
    }
}

impl ToSchema for Body {}

/// Why an import ends before its body.
enum CutOff {
    Body(Problem),
    Store(StoreError),
}

/// Change many entries, one line each
///
/// CSV: `station_id,driver_token[,from[,until]]`, or other columns named by a header; NDJSON: objects with these
/// fields. Valid lines are applied, invalid ones reported. An invalid header ends the import.
#[utoipa::path(post, path = "/acl/import", operation_id = "import_entries", tag = "lists", params(ImportQuery, Author),
    request_body(content((inline(Body) = "application/x-ndjson"), (inline(Body) = "text/csv"))),
    responses((status = 200, description = "The whole body was read", body = Report), Invalid, BodyTooSlow,
        UnsupportedMediaType, Internal, Unavailable))]
pub(crate) async fn import(
    store: Data<AccessStore>,
    query: Query<ImportQuery>,
    request: HttpRequest,
    payload: Payload,
) -> Answer {
    let options = query.0.parse()?;
    let action = match options.mode {
        Mode::Add => "import",
        Mode::Remove => "import_remove",
    };
    let changes = Changes::new(&store, actor(&request)?, action);
    let import = Import {
        format: format(&request)?,
        changes: match options.change_id {
            Some(change_id) => changes.part_of(change_id),
            None => changes,
        },
        options,
        report: Report::default(),
        batch: Vec::with_capacity(BATCH),
        ended: None,
    };
    // A client that disconnects must not cancel the import: its outcome has to be recorded in the audit trail. The
    // import ends with the body.
    let done = actix_web::rt::spawn(import.run(payload)).await;
    done.map_err(|_| Problem::internal("the import failed; the audit trail shows how far it came"))?
}

struct Import {
    format: Format,
    options: Options,
    changes: Changes,
    report: Report,
    batch: Vec<(StationId, Change)>,
    /// Why no more lines are accepted.
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
                if !self.options.dry_run {
                    self.changes.applied(counts).await;
                }
                Ok(HttpResponse::Ok().json(self.report))
            }
            Err(cut_off) => {
                if !self.options.dry_run {
                    self.changes.failed(Some(counts)).await;
                }
                let report = serde_json::to_value(&self.report).unwrap_or_default();
                Err(match cut_off {
                    CutOff::Body(problem) => problem.with_report(report).into(),
                    CutOff::Store(error) => AclError::Interrupted { error, report },
                })
            }
        }
    }

    async fn read(&mut self, mut payload: Payload) -> Result<(), CutOff> {
        let mut lines = Lines::new(MAX_LINE);
        loop {
            let piece = match body::chunk(&mut payload, PIECE_LIMIT).await {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                Err(problem) => return self.end_of_body(problem).await,
            };
            // A limited number of lines at a time, so that their changes are never much more than a batch.
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

    /// Ends the import at an invalid header: the lines after it cannot be read.
    async fn end_of_columns(&mut self, bad: &BadHeader, payload: Payload) -> Result<(), CutOff> {
        self.apply().await?;
        let done = match self.report.applied + self.report.unchanged {
            0 => "nothing was done",
            _ => "the lines before it are done",
        };
        body::pass_over(payload).await;
        Err(CutOff::Body(Problem::invalid("header", format!("line {}: {bad}; {done}", self.report.lines))))
    }

    /// A body that breaks off: everything read so far is applied, except an incomplete last line.
    async fn end_of_body(&mut self, problem: Problem) -> Result<(), CutOff> {
        self.apply().await?;
        Err(CutOff::Body(problem))
    }

    fn take(&mut self, line: &Line<'_>) {
        if self.ended.is_some() {
            return;
        }
        self.report.lines += 1;
        match self.format.read(line, validity::now()) {
            Ok(None) => {}
            Ok(Some((station, entry))) => {
                self.report.valid += 1;
                self.batch.push(match self.options.mode {
                    Mode::Add => (station, Change::Admit(entry)),
                    Mode::Remove => (station, Change::Remove(entry.token)),
                });
            }
            Err(Rejected::Line(refusal)) => {
                self.report.refuse(refusal, self.options.max_refusals, || self.format.header());
            }
            Err(Rejected::Import(bad)) => self.ended = Some(bad),
        }
    }

    async fn apply(&mut self) -> Result<(), CutOff> {
        if self.options.dry_run {
            self.batch.clear();
            return Ok(());
        }
        let changed = self.changes.each(&self.batch).await.map_err(CutOff::Store)?;
        self.report.applied += changed;
        self.report.unchanged += (self.batch.len() as u64).saturating_sub(changed);
        self.report.applied_through_line = self.report.lines;
        self.batch.clear();
        Ok(())
    }
}

impl Report {
    fn refuse(&mut self, refusal: Refusal, max_refusals: usize, header: impl FnOnce() -> String) {
        self.refused += 1;
        if self.refusals.len() < max_refusals {
            let Refusal { field, reason } = refusal;
            self.refusals.push(RefusedLine { line: self.lines, field, reason, header: header() });
        } else {
            self.refusals_not_named += 1;
        }
    }
}

fn format(request: &HttpRequest) -> Result<Format, Problem> {
    body::not_compressed(request)?;
    match body::media_type(request).as_str() {
        "text/csv" => Ok(Format::Csv(Csv::default())),
        "application/x-ndjson" => Ok(Format::Ndjson),
        _ => Err(Problem::unsupported_media_type("expected application/x-ndjson or text/csv")),
    }
}
