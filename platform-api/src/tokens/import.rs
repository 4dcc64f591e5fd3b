//! `POST /api/v1/tokens/import`: a stream of any number of tokens, one a line. Each is applied in a transaction of its own;
//! the response reports what was refused.

mod card;
mod csv;

use std::time::Duration;

use actix_web::web::{Bytes, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use charging::Db;
use futures_util::StreamExt;
use http_server::body::lines::{Line, Lines};
use http_server::openapi::refusals::{BodyTooLarge, BodyTooSlow, Invalid, Unavailable, UnsupportedMediaType};
use http_server::{Problem, Query, body, caller, query};
use serde::Deserialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use self::card::{NotApplied, apply};
use self::csv::Header;
use super::report::{LineCode, Report};
use crate::error::{Answer, ApiError};
use crate::live::Live;
use crate::permissions::actor;

const NAMED: usize = 100;
const MAX_NAMED: usize = 10_000;
const MAX_LINE: usize = 16 * 1024;
/// More codes are not kept for the answer; their lines are refused.
const MAX_CODES: usize = 100_000;
/// Time limit for the next chunk of the body.
const PIECE_LIMIT: Duration = Duration::from_secs(30);
/// How often a token is tried while the database is away.
const TRIES: u32 = 3;
const BETWEEN_TRIES: Duration = Duration::from_secs(1);

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ImportQuery {
    /// Whether the lines are only checked, and nothing is changed
    #[param(value_type = Option<bool>, default = false)]
    dry_run: Option<String>,
    /// How many refused lines are listed
    #[param(value_type = Option<u32>, maximum = 10_000, default = 100)]
    max_refusals: Option<String>,
}

/// Tokens to import.
#[derive(ToSchema)]
#[schema(as = TokensBody, value_type = String, format = Binary)]
#[expect(dead_code, reason = "only documentation")]
pub(crate) struct TokensBody(String);

/// One import.
struct Import {
    db: Data<Db>,
    dry_run: bool,
    max_refusals: usize,
    actor: String,
    /// Of CSV: the columns, once they are known.
    header: Option<Header>,
    is_csv: bool,
    report: Report,
}

/// Why an import ends before its body.
enum CutOff {
    Body(Problem),
    Database(ApiError),
}

/// Import tokens
///
/// Creates what does not exist and changes what differs; nothing is deleted. A token is recognized by its `id_tag`, or else by
/// its `uid`. Members that are not given stay as they are. The same import may be sent again. `bind_code` issues a code for a
/// new card, which the report shows once; `printed_code` is one that the card has already.
///
/// `application/x-ndjson`: one token a line with the members `id_tag`, `uid`, `driver_token`, `type`, `status`, `whitelist`,
/// `expires_at`, `parent_id_tag`, `user_id` or `username`, `bind_code`, `printed_code`; `text/csv`: the same as columns.
#[utoipa::path(post, path = "/api/v1/tokens/import", operation_id = "import_tokens", tag = "tokens", params(ImportQuery),
    request_body(content((TokensBody = "application/x-ndjson"), (TokensBody = "text/csv"))),
    responses((status = 200, description = "What was done", body = Report),
        Invalid, BodyTooLarge, BodyTooSlow, UnsupportedMediaType, Unavailable))]
pub(crate) async fn import(
    db: Data<Db>,
    live: Data<Live>,
    Query(given): Query<ImportQuery>,
    request: HttpRequest,
    mut payload: Payload,
) -> Answer {
    let dry_run = query::flag("dry_run", given.dry_run.as_deref())?;
    let max_refusals = match given.max_refusals.as_deref().map(str::parse) {
        None => NAMED,
        Some(Ok(count)) if count <= MAX_NAMED => count,
        Some(_) => return Err(Problem::invalid("max_refusals", "expected a number, at most 10000").into()),
    };
    body::not_compressed(&request)?;
    let is_csv = match body::media_type(&request).as_str() {
        "text/csv" => true,
        "application/x-ndjson" => false,
        _ => {
            let expected = "expected application/x-ndjson or text/csv";
            return Err(Problem::unsupported_media_type(expected).into());
        }
    };
    let (actor, report) = (actor(&caller(&request)), Report { dry_run, ..Report::default() });
    let mut import = Import { db, dry_run, max_refusals, actor, header: None, is_csv, report };
    let done = import.lines(&mut payload).await;
    if matches!(done, Err(CutOff::Body(_))) {
        body::pass_over(payload).await;
    }
    live.wake();
    import.answer(done)
}

impl Import {
    fn answer(mut self, done: Result<(), CutOff>) -> Answer {
        self.report.complete = done.is_ok();
        if done.is_ok() && self.report.lines == 0 {
            return Err(Problem::invalid("body", "it has no tokens").into());
        }
        let problem = match done {
            Ok(()) => {
                let mut response = HttpResponse::Ok();
                response.insert_header(("cache-control", "no-store"));
                return Ok(response.json(self.report));
            }
            Err(CutOff::Body(problem)) => problem,
            Err(CutOff::Database(error)) => {
                tracing::warn!(%error, "an import of tokens was interrupted");
                let detail = "the database cannot be used at present; `report` says what was done by then, and the whole \
                              import may be repeated";
                Problem::unavailable("database", detail, Duration::from_secs(1))
            }
        };
        let report = serde_json::to_value(&self.report).unwrap_or_default();
        Err(problem.with_report(report).into())
    }

    async fn lines(&mut self, payload: &mut Payload) -> Result<(), CutOff> {
        let mut lines = Lines::new(MAX_LINE);
        let mut begun: Vec<Option<Bytes>> = Vec::new();
        let keep = |line: Line<'_>| match line {
            Line::Whole(bytes) => Some(Bytes::copy_from_slice(bytes)),
            Line::TooLong => None,
        };
        loop {
            let piece = match tokio::time::timeout(PIECE_LIMIT, payload.next()).await {
                Ok(Some(Ok(piece))) => piece,
                Ok(None) => break,
                Ok(Some(Err(error))) => {
                    return Err(CutOff::Body(Problem::invalid("body", error.to_string())));
                }
                Err(_) => return Err(CutOff::Body(Problem::body_too_slow(PIECE_LIMIT))),
            };
            lines.push(&piece, |line| begun.push(keep(line)));
            for line in begun.drain(..) {
                self.line(line).await?;
            }
        }
        lines.finish(|line| begun.push(keep(line)));
        for line in begun {
            self.line(line).await?;
        }
        Ok(())
    }

    /// `None` is a line that is too long.
    async fn line(&mut self, line: Option<Bytes>) -> Result<(), CutOff> {
        self.report.lines += 1;
        let number = self.report.lines;
        match self.document(number, line.as_deref()) {
            Ok(Some(document)) => self.apply(number, &document).await,
            Ok(None) => Ok(()),
            Err(problem) if self.is_csv && self.header.is_none() => Err(CutOff::Body(problem)),
            Err(problem) => {
                self.refuse(number, &problem);
                Ok(())
            }
        }
    }

    /// What a line says; `None` for an empty line and a header.
    fn document(&mut self, number: u64, line: Option<&[u8]>) -> Result<Option<Value>, Problem> {
        let too_long = || Problem::invalid("line", format!("it is longer than {MAX_LINE} bytes"));
        let line = line.ok_or_else(too_long)?;
        let line = if number == 1 { line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line) } else { line };
        let text = std::str::from_utf8(line).map_err(|_| Problem::invalid("line", "it is not UTF-8"))?;
        if text.trim().is_empty() {
            return Ok(None);
        }
        match (self.is_csv, &self.header) {
            (false, _) => body::value(line).map(Some),
            (true, Some(header)) => header.document(text).map(Some),
            (true, None) => {
                self.header = Some(Header::parse(text)?);
                Ok(None)
            }
        }
    }

    async fn apply(&mut self, number: u64, document: &Value) -> Result<(), CutOff> {
        let mut tries = 0;
        loop {
            tries += 1;
            let with_codes = self.report.bind_codes.len() < MAX_CODES;
            let error = match apply(&self.db, document, self.dry_run, with_codes, &self.actor).await {
                Ok(applied) | Err(NotApplied::DryRun(applied)) => {
                    self.report.applied(number, applied.count);
                    let code = applied.code.filter(|_| !self.dry_run);
                    let code = code.map(|code| LineCode {
                        line: number,
                        token_id: applied.token,
                        bind_code: code.reveal(),
                    });
                    self.report.bind_codes.extend(code);
                    return Ok(());
                }
                Err(NotApplied::Refused(error)) => error,
            };
            if error.is_stale() && tries < TRIES {
                // It was changed between reading and writing.
            } else if error.is_transient() && tries < TRIES {
                tokio::time::sleep(BETWEEN_TRIES).await;
            } else if error.is_transient() {
                return Err(CutOff::Database(error));
            } else {
                self.refuse(number, &error.problem());
                return Ok(());
            }
        }
    }

    fn refuse(&mut self, line: u64, problem: &Problem) {
        self.report.refuse(line, problem.field(), problem.detail(), self.max_refusals);
    }
}
