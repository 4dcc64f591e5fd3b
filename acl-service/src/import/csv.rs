//! A CSV file: its separator and its columns, which the first significant line determines. Until they are known,
//! nothing is applied: entries read in the wrong columns would begin when they should end.

use common::ids::StationId;

use super::line::{Fields, Refusal, Rejected};

/// The known columns, in the order of a file without a header.
const COLUMNS: [&str; 4] = ["station_id", "driver_token", "from", "until"];
/// The columns that every file must have.
const NEEDED: [&str; 2] = [COLUMNS[0], COLUMNS[1]];
/// No valid value contains one of these, or a quote.
const SEPARATORS: [char; 4] = [',', ';', '\t', '|'];

/// What is known about a file so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Csv {
    separator: Option<char>,
    columns: Option<Vec<&'static str>>,
}

/// Why the rest of a file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadHeader {
    #[error("after `sep=` there is no separator: expected a comma, a semicolon, a tab or |")]
    Separator,
    #[error("{0}, and the columns are not known yet")]
    Unreadable(String),
    #[error("the column {0} is unknown; expected: {known}", known = COLUMNS.join(", "))]
    Unknown(ColumnName),
    #[error(
        "it is not an entry, as it does not begin with a station id, and not a header, as the column {0} is unknown; \
         expected: {known}", known = COLUMNS.join(", ")
    )]
    Neither(ColumnName),
    #[error("the header names the column {0} twice")]
    Twice(&'static str),
    #[error("the header has no column {0}; expected: {known}", known = COLUMNS.join(", "))]
    Missing(&'static str),
}

/// The column's name as written, or its position, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ColumnName {
    #[error("`{0}`")]
    Name(String),
    #[error("number {0}, which has no name,")]
    Empty(usize),
    /// The text may be a driver token or an id.
    #[error("number {0}, whose name is too long to be repeated,")]
    Hidden(usize),
}

impl Csv {
    /// The header with which the next part of the same file has to begin, to be read as if the file were not cut; empty
    /// if nothing is known.
    pub(super) fn header(&self) -> String {
        match (self.separator, &self.columns) {
            (Some(separator), Some(columns)) => columns.join(&separator.to_string()),
            (Some(separator), None) => format!("sep={separator}"),
            (None, _) => String::new(),
        }
    }

    /// The fields of an entry; `None` for a line without an entry, or one that describes the following lines.
    pub(super) fn read(&mut self, line: &str) -> Result<Option<Fields>, Rejected> {
        if let Some(rest) = line.strip_prefix('\u{feff}') {
            // Files that were concatenated: each begins anew.
            *self = Self::default();
            return self.read(rest);
        }
        if line.trim_start().starts_with('#') {
            return self.comment(line.trim_start_matches([' ', '\t', '#']));
        }
        if let Some(separator) = separator_line(line) {
            *self = Self { separator: Some(separator?), columns: None };
            return Ok(None);
        }
        let separator = self.separator_of(line);
        let cells = cells(line, separator).map_err(|refusal| self.unreadable(line, refusal))?;
        let Some(first) = cells.first() else { return Ok(None) };
        let is_entry = first.parse::<StationId>().is_ok();
        match &self.columns {
            Some(columns) if is_entry || !cells.iter().any(|cell| known(cell).is_some()) => {
                return Ok(fields(columns, separator, &cells).map(Some)?);
            }
            None if is_entry => {
                let fields = fields(&COLUMNS, separator, &cells);
                *self = Self { separator: Some(separator), columns: Some(COLUMNS.into()) };
                return Ok(fields.map(Some)?);
            }
            // The header of the first file, or of a further one that was appended.
            Some(_) | None => {
                *self = Self { separator: Some(separator), columns: Some(header(&cells)?) };
            }
        }
        Ok(None)
    }

    /// Some programs write their header as a comment. Ignoring it would mean reading in the wrong columns.
    fn comment(&mut self, text: &str) -> Result<Option<Fields>, Rejected> {
        let separator = self.separator_of(text);
        if self.columns.is_none()
            && let Ok(cells) = cells(text, separator)
            && NEEDED.iter().all(|name| cells.iter().any(|cell| known(cell) == Some(name)))
        {
            *self = Self { separator: Some(separator), columns: Some(header(&cells)?) };
        }
        Ok(None)
    }

    fn separator_of(&self, line: &str) -> char {
        let first = || line.chars().find(|character| SEPARATORS.contains(character));
        self.separator.or_else(first).unwrap_or(SEPARATORS[0])
    }

    /// An unreadable line may be rejected alone only if it cannot be the header.
    pub(super) fn unreadable(&self, line: &str, refusal: Refusal) -> Rejected {
        let names_column = line.split(SEPARATORS).any(|cell| known(cell.trim_matches(['"', ' '])).is_some());
        match self.columns {
            Some(_) if !names_column => Rejected::Line(refusal),
            Some(_) | None => BadHeader::Unreadable(refusal.reason).into(),
        }
    }
}

/// `sep=;`, which spreadsheets write and read as the first line.
fn separator_line(line: &str) -> Option<Result<char, BadHeader>> {
    let line = line.trim_matches(['"', ' ']);
    let (_, rest) = line.split_at_checked(4).filter(|(name, _)| name.eq_ignore_ascii_case("sep="))?;
    let rest = if rest == "\\t" { "\t" } else { rest };
    let mut signs = rest.chars();
    let sign = signs.next().filter(|sign| SEPARATORS.contains(sign));
    // A spreadsheet may append empty columns.
    Some(sign.filter(|sign| signs.all(|other| other == *sign)).ok_or(BadHeader::Separator))
}

fn known(cell: &str) -> Option<&'static str> {
    COLUMNS.into_iter().find(|name| name.eq_ignore_ascii_case(cell))
}

fn header(cells: &[&str]) -> Result<Vec<&'static str>, BadHeader> {
    let mut columns = Vec::with_capacity(COLUMNS.len());
    for (cell, place) in cells.iter().zip(1..) {
        match known(cell) {
            Some(name) if columns.contains(&name) => return Err(BadHeader::Twice(name)),
            Some(name) => columns.push(name),
            None if cells.iter().any(|cell| known(cell).is_some()) => {
                return Err(BadHeader::Unknown(named(cell, place)));
            }
            None => return Err(BadHeader::Neither(named(cell, place))),
        }
    }
    match NEEDED.iter().find(|name| !columns.contains(name)) {
        Some(missing) => Err(BadHeader::Missing(missing)),
        None => Ok(columns),
    }
}

/// A line that is not a header may contain a token, which is personal data. Tokens are long, and nearly all contain a
/// digit.
fn named(cell: &str, place: usize) -> ColumnName {
    let length = cell.chars().count();
    let may_be_token = length >= 20 && cell.contains(|character: char| character.is_ascii_digit());
    match length {
        0 => ColumnName::Empty(place),
        _ if may_be_token || length > 64 => ColumnName::Hidden(place),
        _ => ColumnName::Name(cell.to_owned()),
    }
}

fn fields(columns: &[&str], separator: char, cells: &[&str]) -> Result<Fields, Refusal> {
    if cells.len() > columns.len() {
        let why = format!("it has {} fields for {} columns", cells.len(), columns.len());
        return Err(Refusal::of_line(why));
    }
    if cells.len() < NEEDED.len() {
        return Err(Refusal::of_line(format!("expected {}", NEEDED.join(&separator.to_string()))));
    }
    let cell = |name: &str| {
        let place = columns.iter().position(|column| *column == name);
        place
            .and_then(|place| cells.get(place))
            .filter(|cell| !cell.is_empty())
            .map(|cell| (*cell).to_owned())
    };
    let [station_id, driver_token, from, until] = COLUMNS.map(cell);
    let (station_id, driver_token) = (station_id.unwrap_or_default(), driver_token.unwrap_or_default());
    Ok(Fields { station_id, driver_token, from, until })
}

/// The fields of a line, without empty ones at its end. Quotes are only removed, never interpreted.
fn cells(line: &str, separator: char) -> Result<Vec<&str>, Refusal> {
    let bad = || Refusal::of_line("a quote is misplaced");
    let cells = line.split(separator).map(|cell| unquoted(cell.trim()).ok_or_else(bad));
    let mut cells = cells.collect::<Result<Vec<&str>, _>>()?;
    while cells.pop_if(|cell| cell.is_empty()).is_some() {}
    Ok(cells)
}

fn unquoted(cell: &str) -> Option<&str> {
    let inner = match cell.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"')?.trim(),
        None => cell,
    };
    (!inner.contains('"')).then_some(inner)
}

#[cfg(test)]
mod tests;
