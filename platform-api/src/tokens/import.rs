//! `POST /api/v1/tokens/import`: a stream of any number of tokens, one a line. Each is applied in a transaction of its own;
//! the response reports what was refused.

mod card;
mod csv;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use charging::{Db, Tx};
use http_server::body::lines::{LineReader, NumberedLine};
use http_server::openapi::refusals::{BodyTooLarge, BodyTooSlow, Invalid, Unavailable, UnsupportedMediaType};
use http_server::{Problem, Query, body, caller};
use serde_json::Value;
use utoipa::ToSchema;

use self::csv::Header;
use super::report::{LineCode, Report};
use crate::error::Answer;
use crate::import::{self, CutOff, ImportOptions, ImportQuery, PIECE_LIMIT};
use crate::live::Live;
use crate::permissions::actor;

const MAX_LINE: usize = 16 * 1024;
/// More codes are not kept for the answer; their lines are refused.
const MAX_CODES: usize = 100_000;

/// Tokens to import.
#[derive(ToSchema)]
#[schema(as = TokensBody, value_type = String, format = Binary)]
#[expect(dead_code, reason = "only documentation")]
pub(crate) struct TokensBody(String);

/// One import.
struct Import {
    db: Data<Db>,
    options: ImportOptions,
    actor: String,
    /// Of CSV: the columns, once they are known.
    header: Option<Header>,
    is_csv: bool,
    report: Report,
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
    payload: Payload,
) -> Answer {
    let options = given.options()?;
    body::not_compressed(&request)?;
    let is_csv = match body::media_type(&request).as_str() {
        "text/csv" => true,
        "application/x-ndjson" => false,
        _ => {
            let expected = "expected application/x-ndjson or text/csv";
            return Err(Problem::unsupported_media_type(expected).into());
        }
    };
    let (actor, report) =
        (actor(&caller(&request)), Report { dry_run: options.dry_run, ..Report::default() });
    let mut import = Import { db, options, actor, header: None, is_csv, report };
    let mut lines = LineReader::new(payload, MAX_LINE, PIECE_LIMIT);
    let done = import.lines(&mut lines).await;
    if matches!(done, Err(CutOff::Body(_))) {
        body::pass_over(lines.into_rest()).await;
    }
    live.wake();
    import.answer(done)
}

impl Import {
    fn answer(mut self, done: Result<(), CutOff>) -> Answer {
        self.report.complete = done.is_ok();
        match done {
            Ok(()) if self.report.lines == 0 => Err(Problem::invalid("body", "it has no tokens").into()),
            Ok(()) => {
                let mut response = HttpResponse::Ok();
                response.insert_header(("cache-control", "no-store"));
                Ok(response.json(self.report))
            }
            Err(cut_off) => Err(cut_off.problem(&self.report).into()),
        }
    }

    async fn lines(&mut self, lines: &mut LineReader) -> Result<(), CutOff> {
        while let Some(line) = lines.next().await.map_err(CutOff::Body)? {
            self.report.lines = line.number;
            match self.document(&line) {
                Ok(Some(document)) => self.apply(line.number, &document).await?,
                Ok(None) => {}
                Err(problem) if self.is_csv && self.header.is_none() => return Err(CutOff::Body(problem)),
                Err(problem) => self.refuse(line.number, &problem),
            }
        }
        Ok(())
    }

    /// What a line says; `None` for an empty line and a header.
    fn document(&mut self, line: &NumberedLine) -> Result<Option<Value>, Problem> {
        let text = line.text()?;
        if text.trim().is_empty() {
            return Ok(None);
        }
        match (self.is_csv, &self.header) {
            (false, _) => body::value(text.as_bytes()).map(Some),
            (true, Some(header)) => header.document(text).map(Some),
            (true, None) => {
                self.header = Some(Header::parse(text)?);
                Ok(None)
            }
        }
    }

    async fn apply(&mut self, number: u64, document: &Value) -> Result<(), CutOff> {
        let with_codes = self.report.bind_codes.len() < MAX_CODES;
        let dry_run = self.options.dry_run;
        let part = async |tx: &mut Tx| card::apply(tx, document, with_codes, &self.actor).await;
        match import::apply(&self.db, dry_run, part).await? {
            Ok(applied) => {
                self.report.applied(number, applied.count);
                let code = applied.code.filter(|_| !dry_run);
                let code = code.map(|code| LineCode {
                    line: number,
                    token_id: applied.token,
                    bind_code: code.reveal(),
                });
                self.report.bind_codes.extend(code);
            }
            Err(problem) => self.refuse(number, &problem),
        }
        Ok(())
    }

    fn refuse(&mut self, line: u64, problem: &Problem) {
        self.report.refuse(line, problem.field(), problem.detail(), self.options.max_refusals);
    }
}
