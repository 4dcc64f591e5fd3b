//! One line of an import: a JSON object, or a line of CSV.

use common::ids::{DriverToken, StationId};
use http_server::body::lines::Line;
use serde::Deserialize;
use store::{Entry, Millis};

use super::MAX_LINE;
use super::csv::{BadHeader, Csv};
use crate::validity;

/// The format of the lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Format {
    /// `application/x-ndjson`: an object on each line.
    Ndjson,
    /// `text/csv`.
    Csv(Csv),
}

/// Why a line is rejected. It never contains a value of the line: values are personal data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) field: &'static str,
    pub(super) reason: String,
}

/// The consequence of a rejected line for the following ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rejected {
    /// None.
    Line(Refusal),
    /// They cannot be read.
    Import(BadHeader),
}

/// The known fields of a line. Unknown ones are rejected: an entry whose `until` is misspelt would be valid for ever.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Fields {
    #[serde(default)]
    pub(super) station_id: String,
    #[serde(default)]
    pub(super) driver_token: String,
    #[serde(default)]
    pub(super) from: Option<String>,
    #[serde(default)]
    pub(super) until: Option<String>,
}

impl From<Refusal> for Rejected {
    fn from(refusal: Refusal) -> Self {
        Self::Line(refusal)
    }
}

impl From<BadHeader> for Rejected {
    fn from(bad: BadHeader) -> Self {
        Self::Import(bad)
    }
}

impl Refusal {
    /// A line that cannot be parsed.
    pub(super) fn of_line(reason: impl Into<String>) -> Self {
        refusal("line", reason)
    }
}

impl Format {
    /// The entry of a line; `None` for a line without one: empty, a comment, the header.
    pub(super) fn read(
        &mut self,
        line: &Line<'_>,
        now: Millis,
    ) -> Result<Option<(StationId, Entry)>, Rejected> {
        let text = match line {
            Line::Whole(bytes) => std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned()),
            Line::TooLong => Err(format!("it is longer than {MAX_LINE} bytes")),
        };
        let text = match (text, &self) {
            (Ok(text), _) => text,
            (Err(why), Self::Csv(csv)) => return Err(csv.unreadable("", Refusal::of_line(why))),
            (Err(why), Self::Ndjson) => return Err(Refusal::of_line(why).into()),
        };
        if text.trim().is_empty() {
            return Ok(None);
        }
        let fields = match self {
            Self::Csv(csv) => csv.read(text)?,
            Self::Ndjson => json(text)?,
        };
        Ok(fields.map(|fields| entry(&fields, now)).transpose()?)
    }

    /// The header with which the next part of the same input has to begin.
    pub(super) fn header(&self) -> String {
        match self {
            Self::Ndjson => String::new(),
            Self::Csv(csv) => csv.header(),
        }
    }
}

fn json(line: &str) -> Result<Option<Fields>, Refusal> {
    // Programs that write a byte order mark put it at the start of each file, and files are concatenated.
    let line = line.trim_start_matches('\u{feff}').trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let expected =
        "expected {\"station_id\": \"…\", \"driver_token\": \"…\"} and optionally \"from\" and \"until\"";
    // serde would also accept the fields as a list.
    if !line.starts_with('{') {
        return Err(Refusal::of_line(expected));
    }
    serde_json::from_str(line).map(Some).map_err(|error| {
        let (text, column) = (error.to_string(), error.column());
        // These messages name a member. All others may quote a value.
        let names_member = ["unknown field", "duplicate field"].iter().any(|kind| text.starts_with(kind));
        let why = text.split(" at line").next().filter(|_| names_member).unwrap_or("it is different");
        let why: String = why.chars().take(100).collect();
        Refusal::of_line(format!("{expected}; {why}, at column {column}"))
    })
}

fn entry(fields: &Fields, now: Millis) -> Result<(StationId, Entry), Refusal> {
    let station = fields.station_id.parse().map_err(|error| refusal("station_id", format!("{error}")))?;
    let token = DriverToken::parse(&fields.driver_token)
        .map_err(|error| refusal("driver_token", format!("{error}")))?;
    let period = validity::period(fields.from.as_deref(), fields.until.as_deref(), now);
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

    fn read(format: &mut Format, line: &str) -> Result<Option<(String, String)>, &'static str> {
        let read = format.read(&Line::Whole(line.as_bytes()), 0);
        let read = read.map_err(|rejected| match rejected {
            Rejected::Line(refusal) => refusal.field,
            Rejected::Import(_) => "import",
        });
        Ok(read?.map(|(station, entry)| (station.to_string(), entry.token.expose().to_owned())))
    }

    /// A file whose columns are known.
    fn csv() -> Format {
        let mut format = Format::Csv(Csv::default());
        assert_eq!(read(&mut format, "station_id,driver_token,from,until"), Ok(None));
        format
    }

    #[test]
    fn each_bad_line_names_its_field() {
        for (line, field) in [
            ("nothing".to_owned(), "line"),
            (format!("7,{TOKEN}"), "station_id"),
            (format!("{STATION},short"), "driver_token"),
            (format!("{STATION},{TOKEN},soon"), "from"),
            (format!("{STATION},{TOKEN},2031-01-01"), "from"),
            (format!("{STATION},{TOKEN},2031-01-01T00:00:00Z,2030-01-01T00:00:00Z"), "until"),
            (format!("{STATION},{TOKEN},,2031-01-01T00:00:00"), "until"),
            (format!("{STATION},{TOKEN},,,x"), "line"),
            (format!("{STATION},\"{TOKEN}"), "line"),
        ] {
            assert_eq!(read(&mut csv(), &line), Err(field), "{line}");
        }
        let object =
            |rest: &str| format!("{{\"station_id\":\"{STATION}\",\"driver_token\":\"{TOKEN}\"{rest}}}");
        for (line, field) in [
            ("[]".to_owned(), "line"),
            (format!("{{\"station_id\":\"{STATION}\"}}"), "driver_token"),
            (object(",\"untill\":\"\""), "line"),
            (object(",\"until\":null,\"until\":null"), "line"),
            (object(",\"until\":\"\""), "until"),
            (object(",\"until\":\"2031-01-01\""), "until"),
            (format!("{{\"station_id\":\"{STATION}\",\"driver_token\":7}}"), "line"),
        ] {
            assert_eq!(read(&mut Format::Ndjson, &line), Err(field), "{line}");
        }
        assert!(matches!(csv().read(&Line::TooLong, 0), Err(Rejected::Line(Refusal { field: "line", .. }))));
    }

    #[test]
    fn a_member_that_is_misspelt_or_there_twice_is_named() {
        for (members, named) in
            [("\"untill\": 1", "`untill`"), ("\"until\": null, \"until\": null", "`until`")]
        {
            let line = format!("{{{members}}}");
            let Err(Rejected::Line(refusal)) = Format::Ndjson.read(&Line::Whole(line.as_bytes()), 0) else {
                panic!("{line} is taken")
            };
            assert!(refusal.reason.contains(named), "{}", refusal.reason);
        }
    }

    proptest! {
        #[test]
        fn no_line_breaks_the_reader_and_no_refusal_repeats_it(
            line in "\\PC{0,120}", begun: bool,
        ) {
            let begun = if begun { csv() } else { Format::Csv(Csv::default()) };
            for mut format in [begun, Format::Ndjson] {
                let reason = match format.read(&Line::Whole(line.as_bytes()), 0) {
                    Ok(_) => continue,
                    Err(Rejected::Line(refusal)) => refusal.reason,
                    Err(Rejected::Import(bad)) => bad.to_string(),
                };
                if line.chars().count() > 64 {
                    prop_assert!(!reason.contains(&line));
                }
            }
        }

        #[test]
        fn what_is_well_formed_is_read_to_the_letter(
            station in "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
            token in "[A-Za-z0-9._~-]{20,80}",
            quote in prop_oneof![Just(""), Just("\"")],
            sign in prop_oneof![Just(","), Just(";"), Just("\t"), Just("|")],
        ) {
            let expected = Ok(Some((station.clone(), token.clone())));
            let line = format!("{quote}{station}{quote}{sign} {quote}{token}{quote}");
            prop_assert_eq!(read(&mut Format::Csv(Csv::default()), &line), expected.clone());
            let line = serde_json::json!({"station_id": station, "driver_token": token, "from": null}).to_string();
            prop_assert_eq!(read(&mut Format::Ndjson, &line), expected);
        }
    }
}
