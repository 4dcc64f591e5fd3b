//! One line of an import: a JSON object, or fields with commas between them.

use common::ids::{DriverToken, StationId};
use serde::Deserialize;
use store::{Entry, Millis};

use super::lines::{LONGEST_LINE, Line};
use crate::times;

/// How the lines are to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Format {
    /// `application/x-ndjson`: an object on each line.
    Ndjson,
    /// `text/csv`: the columns, which a header may put in another order.
    Csv(Columns),
}

/// The names of the columns in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Columns(Vec<String>);

/// Why a line is refused. Never holds any of the line: it is personal data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) field: &'static str,
    pub(super) reason: String,
}

/// What a line may name. What it does not know is refused: an entry whose `until` is misspelt would hold for ever.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Fields {
    #[serde(default)]
    station_id: String,
    #[serde(default)]
    driver_token: String,
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    until: Option<String>,
}

const COLUMNS: [&str; 4] = ["station_id", "driver_token", "from", "until"];

impl Default for Columns {
    fn default() -> Self {
        Self(COLUMNS.map(str::to_owned).into())
    }
}

impl Format {
    /// What a line says; nothing for one that says nothing: empty, a comment, the header.
    pub(super) fn read(
        &mut self,
        number: u64,
        line: &Line<'_>,
        now: Millis,
    ) -> Result<Option<(StationId, Entry)>, Refusal> {
        let Line::Whole(bytes) = line else {
            return Err(refusal("line", format!("it is longer than {LONGEST_LINE} bytes")));
        };
        let text = std::str::from_utf8(bytes).map_err(|_| refusal("line", "it is not UTF-8"))?;
        // Excel begins a file with a byte order mark.
        let text = if number == 1 { text.trim_start_matches('\u{feff}') } else { text }.trim();
        if text.is_empty() || text.starts_with('#') {
            return Ok(None);
        }
        let fields = match self {
            Self::Ndjson => json(text)?,
            Self::Csv(columns) => {
                let cells = cells(text)?;
                if number == 1 && cells.iter().any(|cell| COLUMNS.contains(cell)) {
                    *columns = Columns::from_header(&cells)?;
                    return Ok(None);
                }
                columns.fields(&cells)?
            }
        };
        entry(&fields, now).map(Some)
    }
}

impl Columns {
    fn from_header(cells: &[&str]) -> Result<Self, Refusal> {
        let unknown = cells.iter().any(|cell| !COLUMNS.contains(cell));
        let missing = COLUMNS[..2].iter().any(|name| !cells.contains(name));
        if unknown || missing {
            let expected = "expected a header of station_id, driver_token and, if wanted, from and until";
            return Err(refusal("line", expected));
        }
        Ok(Self(cells.iter().map(|cell| (*cell).to_owned()).collect()))
    }

    fn fields(&self, cells: &[&str]) -> Result<Fields, Refusal> {
        if cells.len() > self.0.len() {
            return Err(refusal("line", format!("it has {} fields, more than columns", cells.len())));
        }
        if cells.len() < 2 {
            return Err(refusal("line", "expected station_id,driver_token"));
        }
        let cell = |name: &str| {
            let place = self.0.iter().position(|column| column == name);
            place.and_then(|place| cells.get(place)).map_or(String::new(), |cell| (*cell).to_owned())
        };
        Ok(Fields {
            station_id: cell("station_id"),
            driver_token: cell("driver_token"),
            from: Some(cell("from")),
            until: Some(cell("until")),
        })
    }
}

/// The fields between commas, semicolons or tabs. None of ours can hold such a sign or a quote, so that quotes are only
/// ever taken off.
fn cells(line: &str) -> Result<Vec<&str>, Refusal> {
    let bad = || refusal("line", "a quote is not where one can be");
    line.split([',', ';', '\t']).map(|cell| unquoted(cell.trim()).ok_or_else(bad)).collect()
}

fn unquoted(cell: &str) -> Option<&str> {
    let inner = match cell.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"')?.trim(),
        None => cell,
    };
    (!inner.contains('"')).then_some(inner)
}

fn json(line: &str) -> Result<Fields, Refusal> {
    let expected =
        "expected {\"station_id\": \"…\", \"driver_token\": \"…\"} and, if wanted, \"from\" and \"until\"";
    // serde would take the fields from a list too.
    if !line.starts_with('{') {
        return Err(refusal("line", expected));
    }
    serde_json::from_str(line).map_err(|error| {
        refusal("line", format!("{expected}; it is something else at column {}", error.column()))
    })
}

fn entry(fields: &Fields, now: Millis) -> Result<(StationId, Entry), Refusal> {
    let station = fields.station_id.parse().map_err(|error| refusal("station_id", format!("{error}")))?;
    let token = DriverToken::parse(&fields.driver_token)
        .map_err(|error| refusal("driver_token", format!("{error}")))?;
    let (from, until) = (fields.from.as_deref(), fields.until.as_deref());
    let period = times::period(from.unwrap_or_default(), until.unwrap_or_default(), now);
    let period = period.map_err(|bad| refusal(bad.field, bad.why))?;
    Ok((station, Entry { token, period }))
}

fn refusal(field: &'static str, reason: impl Into<String>) -> Refusal {
    Refusal { field, reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STATION: &str = "123e4567-e89b-12d3-a456-426614174000";
    const TOKEN: &str = "valid_driver_token_12345";

    fn csv() -> Format {
        Format::Csv(Columns::default())
    }

    fn read(format: &mut Format, number: u64, line: &str) -> Result<Option<(String, String)>, &'static str> {
        let read = format.read(number, &Line::Whole(line.as_bytes()), 0).map_err(|refusal| refusal.field)?;
        Ok(read.map(|(station, entry)| (station.to_string(), entry.token.expose().to_owned())))
    }

    #[test]
    fn a_header_may_put_the_columns_in_another_order() {
        let mut format = csv();
        assert_eq!(read(&mut format, 1, "\u{feff}until;driver_token;station_id"), Ok(None));
        let line = format!("2031-01-01T00:00:00Z;\"{TOKEN}\";{STATION}");
        assert_eq!(read(&mut format, 2, &line), Ok(Some((STATION.into(), TOKEN.into()))));
        assert_eq!(read(&mut csv(), 1, "station_id,driver_token,untill"), Err("line"));
    }

    #[test]
    fn each_bad_line_names_its_field() {
        for (line, field) in [
            ("nothing".to_owned(), "line"),
            (format!("7,{TOKEN}"), "station_id"),
            (format!("{STATION},short"), "driver_token"),
            (format!("{STATION},{TOKEN},soon"), "from"),
            (format!("{STATION},{TOKEN},2031-01-01T00:00:00Z,2030-01-01T00:00:00Z"), "until"),
            (format!("{STATION},{TOKEN},,,x"), "line"),
            (format!("{STATION},\"{TOKEN}"), "line"),
        ] {
            assert_eq!(read(&mut csv(), 2, &line), Err(field), "{line}");
        }
        for (line, field) in [
            ("[]".to_owned(), "line"),
            (format!("{{\"station_id\":\"{STATION}\"}}"), "driver_token"),
            (
                format!("{{\"station_id\":\"{STATION}\",\"driver_token\":\"{TOKEN}\",\"untill\":\"\"}}"),
                "line",
            ),
            (format!("{{\"station_id\":\"{STATION}\",\"driver_token\":7}}"), "line"),
        ] {
            assert_eq!(read(&mut Format::Ndjson, 2, &line), Err(field), "{line}");
        }
        assert_eq!(csv().read(2, &Line::TooLong, 0).unwrap_err().field, "line");
    }

    proptest! {
        #[test]
        fn no_line_breaks_the_reader_and_no_refusal_repeats_it(line in "\\PC{0,120}", number in 1u64..3) {
            for mut format in [csv(), Format::Ndjson] {
                if let Err(refusal) = format.read(number, &Line::Whole(line.as_bytes()), 0)
                    && line.len() > 40
                {
                    prop_assert!(!refusal.reason.contains(&line));
                }
            }
        }

        #[test]
        fn what_is_well_formed_is_read_to_the_letter(
            station in "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
            token in "[A-Za-z0-9._~-]{20,80}",
            quote in prop_oneof![Just(""), Just("\"")],
            sign in prop_oneof![Just(","), Just(";"), Just("\t")],
        ) {
            let expected = Ok(Some((station.clone(), token.clone())));
            let line = format!("{quote}{station}{quote}{sign} {quote}{token}{quote}");
            prop_assert_eq!(read(&mut csv(), 2, &line), expected.clone());
            let line = serde_json::json!({"station_id": station, "driver_token": token, "from": null}).to_string();
            prop_assert_eq!(read(&mut Format::Ndjson, 2, &line), expected);
        }
    }
}
