//! `POST /api/v1/network`: a stream of any number of locations with their stations. Each location is applied in a
//! transaction of its own, with all of its stations or not at all; the response reports what was refused.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use charging::{Db, Tx};
use http_server::body::lines::{LineReader, NumberedLine};
use http_server::openapi::refusals::{BodyTooLarge, BodyTooSlow, Invalid, Unavailable, UnsupportedMediaType};
use http_server::{Problem, Query, body, caller};
use utoipa::ToSchema;

use super::csv::{self, Group, Header};
use super::report::Report;
use super::site::Site;
use super::{Format, json};
use crate::error::Answer;
use crate::import::{self, CutOff, ImportOptions, ImportQuery, PIECE_LIMIT};
use crate::live::Live;
use crate::permissions::actor;

/// A location with its stations.
const MAX_LINE: usize = 1024 * 1024;
/// Lines of CSV that a quoted field joins.
const MAX_RECORD: usize = 64 * 1024;
/// One JSON object is read as a whole. Longer networks are sent by lines.
const MAX_JSON: usize = 16 * 1024 * 1024;

/// A network to import.
#[derive(ToSchema)]
#[schema(as = NetworkBody, value_type = String, format = Binary)]
#[expect(dead_code, reason = "only documentation")]
pub(crate) struct NetworkBody(String);

/// One import.
struct Import {
    db: Data<Db>,
    options: ImportOptions,
    /// Who imports, for the audit trail.
    actor: String,
    report: Report,
    /// What this import is about so far, as hashes: nothing may be there twice.
    seen: HashSet<u64>,
    hasher: RandomState,
}

/// Import locations and stations
///
/// Creates what does not exist and changes what differs; nothing is deleted. A location is recognized by its `id`, or else
/// by its name, address, city and country; a station by its `id`, or else by its charger, or else by its name. Members that
/// are not given stay as they are. The same import may be sent again.
///
/// `application/x-ndjson`: one location with its `stations` a line; `text/csv`: one connector a line, those of a location
/// one after another; `application/json`: one object with `locations` and `stations`, at most 16 MiB.
#[utoipa::path(post, path = "/api/v1/network", operation_id = "import_network", tag = "network", params(ImportQuery),
    request_body(content((NetworkBody = "application/x-ndjson"), (NetworkBody = "text/csv"), (Object = "application/json"))),
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
    let format = format(&request)?;
    let report = Report { dry_run: options.dry_run, ..Report::default() };
    let (seen, hasher) = (HashSet::new(), RandomState::new());
    let actor = actor(&caller(&request));
    let mut import = Import { db, options, actor, report, seen, hasher };
    let csv = match format {
        Format::Json => {
            let text = body::read(&request, payload, MAX_JSON).await?;
            return import.whole(&text, &live).await;
        }
        Format::Ndjson => None,
        Format::Csv => Some(Csv::default()),
    };
    let mut lines = LineReader::new(payload, MAX_LINE, PIECE_LIMIT);
    let done = import.lines(&mut lines, csv).await;
    if matches!(done, Err(CutOff::Body(_))) {
        body::pass_over(lines.into_rest()).await;
    }
    live.wake();
    import.answer(done)
}

/// The lines that a location was read from.
#[derive(Clone, Copy)]
enum Of<'a> {
    Line(u64),
    /// Of CSV.
    Group(&'a Group),
}

impl Of<'_> {
    fn lines(self) -> u64 {
        match self {
            Self::Line(_) => 1,
            Self::Group(group) => group.lines.len() as u64,
        }
    }

    fn last_line(self) -> u64 {
        match self {
            Self::Line(line) => line,
            Self::Group(group) => group.lines.last().copied().unwrap_or_default(),
        }
    }

    fn line_of(self, field: &str) -> u64 {
        match self {
            Self::Line(line) => line,
            Self::Group(group) => group.line_of(field),
        }
    }
}

/// What an import by CSV has read.
#[derive(Default)]
struct Csv {
    header: Option<Header>,
    group: Group,
    /// The beginning of a record whose quoted field has a line break, and its line.
    open: Option<(u64, String)>,
}

impl Import {
    fn answer(mut self, done: Result<(), CutOff>) -> Answer {
        self.report.complete = done.is_ok();
        match done {
            Ok(()) if self.report.lines == 0 => {
                Err(Problem::invalid("body", "it has no locations and no stations").into())
            }
            Ok(()) => Ok(HttpResponse::Ok().json(self.report)),
            Err(cut_off) => Err(cut_off.problem(&self.report).into()),
        }
    }

    /// A body of JSON, which was read as a whole.
    async fn whole(mut self, text: &[u8], live: &Live) -> Answer {
        let done = self.sites(json::sites(text)?).await;
        live.wake();
        self.answer(done)
    }

    async fn sites(&mut self, sites: Vec<Result<Site, Problem>>) -> Result<(), CutOff> {
        for site in sites {
            self.report.lines += 1;
            let line = self.report.lines;
            match site {
                Ok(site) => self.apply(&site, Of::Line(line)).await?,
                Err(problem) => self.refuse(line, &problem, false),
            }
        }
        Ok(())
    }

    async fn lines(&mut self, lines: &mut LineReader, mut csv: Option<Csv>) -> Result<(), CutOff> {
        while let Some(line) = lines.next().await.map_err(CutOff::Body)? {
            self.report.lines = line.number;
            self.line(&line, csv.as_mut()).await?;
        }
        if let Some(mut csv) = csv {
            if let Some((line, _)) = csv.open.take() {
                self.refuse(line, &Problem::invalid("line", "a quoted field does not end"), true);
            }
            self.group(std::mem::take(&mut csv.group)).await?;
        }
        Ok(())
    }

    async fn line(&mut self, line: &NumberedLine, csv: Option<&mut Csv>) -> Result<(), CutOff> {
        let number = line.number;
        let text = match line.text() {
            Ok(text) => Cow::Borrowed(text),
            Err(problem) => {
                self.refuse(number, &problem, csv.is_some());
                if let Some(csv) = csv {
                    csv.group.is_broken = true;
                }
                return Ok(());
            }
        };
        match csv {
            Some(csv) => self.record(csv, number, text).await,
            None if text.trim().is_empty() => Ok(()),
            None => match json::site(text.as_bytes()) {
                Ok(site) => self.apply(&site, Of::Line(number)).await,
                Err(problem) => {
                    self.refuse(number, &problem, false);
                    Ok(())
                }
            },
        }
    }

    async fn record(&mut self, csv: &mut Csv, number: u64, text: Cow<'_, str>) -> Result<(), CutOff> {
        let (number, record) = match csv.open.take() {
            Some((begun, open)) => (begun, Cow::Owned(format!("{open}\n{text}"))),
            None => (number, text),
        };
        if csv::is_open(&record) && record.len() < MAX_RECORD {
            csv.open = Some((number, record.into_owned()));
            return Ok(());
        }
        if record.trim().is_empty() {
            return Ok(());
        }
        let Some(header) = &csv.header else {
            csv.header = Some(Header::parse(&record).map_err(CutOff::Body)?);
            return Ok(());
        };
        match header.add(&mut csv.group, number, &record) {
            Ok(Some(ended)) => self.group(ended).await,
            Ok(None) => Ok(()),
            Err(problem) => {
                self.refuse(number, &problem, true);
                // It may be about the location that is being read.
                csv.group.is_broken = true;
                Ok(())
            }
        }
    }

    async fn group(&mut self, group: Group) -> Result<(), CutOff> {
        if group.lines.is_empty() {
            return Ok(());
        }
        if group.is_broken {
            let detail = "a line next to it cannot be read, and may be about the same location";
            for line in &group.lines {
                self.refuse(*line, &Problem::invalid("line", detail), true);
            }
            return Ok(());
        }
        self.apply(&group.site, Of::Group(&group)).await
    }

    async fn apply(&mut self, site: &Site, of: Of<'_>) -> Result<(), CutOff> {
        if let Some(problem) = self.is_there_twice(site) {
            self.refuse_all(of, &problem);
            return Ok(());
        }
        let part = async |tx: &mut Tx| site.apply(tx, &self.actor).await;
        match import::apply(&self.db, self.options.dry_run, part).await? {
            Ok(counts) => {
                self.report.applied(of.lines(), counts);
                self.report.applied_through_line = of.last_line();
            }
            Err(problem) => self.refuse_all(of, &problem),
        }
        Ok(())
    }

    /// Whether an earlier line has the same location, or a station with the same id or charger.
    fn is_there_twice(&mut self, site: &Site) -> Option<Problem> {
        for (field, identity) in site.identities() {
            if !self.seen.insert(self.hasher.hash_one(&identity)) {
                let detail =
                    "an earlier line has the same one; a location has all its stations, one after another";
                return Some(Problem::invalid(field, detail));
            }
        }
        None
    }

    /// Refuses the lines of a location: the one at fault, and the others with it.
    fn refuse_all(&mut self, of: Of<'_>, problem: &Problem) {
        let at_fault = of.line_of(problem.field());
        self.refuse(at_fault, problem, matches!(of, Of::Group(_)));
        if let Of::Group(group) = of {
            for line in group.lines.iter().filter(|line| **line != at_fault) {
                let detail = format!("line {at_fault} of the same location is refused");
                self.refuse(*line, &Problem::invalid("line", detail), true);
            }
        }
    }

    fn refuse(&mut self, line: u64, problem: &Problem, is_csv: bool) {
        let field = if is_csv { csv::column(problem.field()) } else { problem.field().to_owned() };
        self.report.refuse(line, field, problem.detail().to_owned(), self.options.max_refusals);
    }
}

fn format(request: &HttpRequest) -> Result<Format, Problem> {
    body::not_compressed(request)?;
    let (kind, known) = (body::media_type(request), [Format::Json, Format::Ndjson, Format::Csv]);
    let format = known.into_iter().find(|format| format.content_type() == kind);
    let expected = "expected application/x-ndjson, text/csv or application/json";
    format.ok_or_else(|| Problem::unsupported_media_type(expected))
}
