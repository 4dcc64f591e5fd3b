//! A network as CSV: one connector a line, with its EVSE, its station and its location. A station without connectors, and
//! a location without stations, have a line each, in which the other columns are empty.

use http_server::Problem;
use serde_json::{Value, json};

use super::export::Exported;
use super::site::{Members, Site};

/// The columns, and the member of the document that each of them is.
const COLUMNS: [(&str, Of, &str); 19] = [
    ("location_id", Of::Location, "id"),
    ("location_name", Of::Location, "name"),
    ("address", Of::Location, "address"),
    ("postal_code", Of::Location, "postal_code"),
    ("city", Of::Location, "city"),
    ("country", Of::Location, "country"),
    ("latitude", Of::Coordinates, "latitude"),
    ("longitude", Of::Coordinates, "longitude"),
    ("time_zone", Of::Location, "time_zone"),
    ("station_id", Of::Station, "id"),
    ("station_name", Of::Station, "name"),
    ("charger", Of::Station, "charger"),
    ("access", Of::Station, "access"),
    ("evse_number", Of::Evse, "number"),
    ("connector_number", Of::Connector, "number"),
    ("standard", Of::Connector, "standard"),
    ("format", Of::Connector, "format"),
    ("power_type", Of::Connector, "power_type"),
    ("max_power_w", Of::Connector, "max_power_w"),
];
/// The most lines of one location. Further ones are refused, because the location is then there twice.
const MAX_LINES: usize = 1000;
const NUMBERS: [&str; 3] = ["evse_number", "connector_number", "max_power_w"];

/// What a column belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Location,
    Coordinates,
    Station,
    Evse,
    Connector,
}

/// The header of a file: its columns in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    columns: Vec<usize>,
    delimiter: u8,
}

/// The values of one line, by what they belong to.
#[derive(Debug, Clone, Default, PartialEq)]
struct Row {
    location: Members,
    station: Members,
    evse: Members,
    connector: Members,
}

/// Lines that are about one location, read so far.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// Their numbers.
    pub(super) lines: Vec<u64>,
    pub(super) site: Site,
    /// The line of each station and connector, by its place in the site.
    places: Vec<(String, u64)>,
    /// Whether a line among them could not be read.
    pub(super) is_broken: bool,
}

impl Header {
    /// Reads the first line.
    pub(super) fn parse(line: &str) -> Result<Self, Problem> {
        let delimiter = if line.contains(';') && !line.contains(',') { b';' } else { b',' };
        let names = fields(line, delimiter)?;
        let place = |name: &String| {
            let name = name.trim().to_lowercase();
            COLUMNS.iter().position(|column| column.0 == name).ok_or(name)
        };
        let columns: Result<Vec<usize>, String> = names.iter().map(place).collect();
        let known = || COLUMNS.map(|column| column.0).join(", ");
        let unknown = |name: String| {
            Problem::invalid("header", format!("unknown column `{name:.64}`; expected some of {}", known()))
        };
        let columns = columns.map_err(unknown)?;
        if columns.is_empty() {
            return Err(Problem::invalid("header", format!("expected some of {}", known())));
        }

        match columns.iter().enumerate().find(|(index, column)| columns[..*index].contains(column)) {
            Some((_, twice)) => {
                Err(Problem::invalid("header", format!("the column `{}` is there twice", COLUMNS[*twice].0)))
            }
            None => Ok(Self { columns, delimiter }),
        }
    }

    fn row(&self, line: &str) -> Result<Row, Problem> {
        let values = fields(line, self.delimiter)?;
        if values.len() != self.columns.len() {
            let detail = format!("expected {} columns, not {}", self.columns.len(), values.len());
            return Err(Problem::invalid("line", detail));
        }
        let mut row = Row::default();
        for (column, value) in self.columns.iter().zip(values) {
            let (name, of, member) = COLUMNS[*column];
            let value = value.trim();
            if value.is_empty() {
                continue;
            }
            // What is no number is refused with its location.
            let number = if NUMBERS.contains(&name) { value.parse::<i64>().ok() } else { None };
            let value = number.map_or_else(|| Value::from(value), Value::from);
            match of {
                Of::Location => row.location.insert(member.to_owned(), value),
                Of::Coordinates => {
                    let place = row.location.entry("coordinates").or_insert_with(|| json!({}));
                    place.as_object_mut().and_then(|place| place.insert(member.to_owned(), value))
                }
                Of::Station => row.station.insert(member.to_owned(), value),
                Of::Evse => row.evse.insert(member.to_owned(), value),
                Of::Connector => row.connector.insert(member.to_owned(), value),
            };
        }
        Ok(row)
    }

    /// Adds a line to the group. Returns the group that it ends, if it is about another location.
    ///
    /// # Errors
    /// Returns why the line cannot be read.
    pub(super) fn add(&self, group: &mut Group, number: u64, line: &str) -> Result<Option<Group>, Problem> {
        let row = self.row(line)?;
        let full = group.lines.len() >= MAX_LINES;
        let ends = !group.lines.is_empty() && (full || !group.is_about(&row));
        let ended = ends.then(|| std::mem::take(group));
        group.lines.push(number);
        group.push(row, number);
        Ok(ended)
    }
}

impl Group {
    /// The line of a member at fault.
    pub(super) fn line_of(&self, field: &str) -> u64 {
        let of = |place: &str| {
            field.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let found = self.places.iter().filter(|(place, _)| of(place)).max_by_key(|(place, _)| place.len());
        found.map_or_else(|| self.lines.first().copied().unwrap_or_default(), |(_, line)| *line)
    }

    fn is_about(&self, row: &Row) -> bool {
        match &self.site.location {
            // Stations without a location have nothing in common.
            None => {
                row.location.is_empty()
                    && self.site.stations.last().is_some_and(|last| is_same(last, &row.station))
            }
            Some(known) => match (known.get("id"), row.location.get("id")) {
                (Some(known), Some(given)) => known == given,
                _ => ["name", "address", "city", "country"]
                    .iter()
                    .all(|name| known.get(*name) == row.location.get(*name)),
            },
        }
    }

    fn push(&mut self, row: Row, line: u64) {
        if self.site.location.is_none() && !row.location.is_empty() {
            self.site.location = Some(row.location);
        }
        if row.station.is_empty() && row.connector.is_empty() {
            return;
        }
        if !self.site.stations.last().is_some_and(|last| is_same(last, &row.station)) {
            self.places.push((format!("stations.{}", self.site.stations.len()), line));
            self.site.stations.push(row.station);
        }
        let nth = self.site.stations.len() - 1;
        let Some(station) = self.site.stations.last_mut().filter(|_| !row.connector.is_empty()) else {
            return;
        };
        let evses = station.entry("evses").or_insert_with(|| json!([]));
        let Some(evses) = evses.as_array_mut() else { return };
        let number = row.evse.get("number");
        if !evses.last().is_some_and(|evse| number.is_some() && evse.get("number") == number) {
            let mut evse = row.evse;
            evse.insert("connectors".to_owned(), json!([]));
            evses.push(Value::Object(evse));
        }
        let place = evses.len() - 1;
        let connectors = evses.last_mut().and_then(|evse| evse.get_mut("connectors"));
        let Some(connectors) = connectors.and_then(Value::as_array_mut) else { return };
        self.places.push((format!("stations.{nth}.evses.{place}.connectors.{}", connectors.len()), line));
        connectors.push(Value::Object(row.connector));
    }
}

fn is_same(one: &Members, other: &Members) -> bool {
    ["id", "charger", "name"].iter().all(|name| one.get(*name) == other.get(*name))
}

/// The column of a member at fault, such as `longitude` for `coordinates.longitude`.
pub(super) fn column(field: &str) -> String {
    let of_station = field.starts_with("stations.");
    let last = field.rsplit('.').next().unwrap_or(field);
    let of = |of: Of| match of {
        Of::Location | Of::Coordinates => !of_station,
        Of::Station => of_station && !field.contains(".evses."),
        Of::Evse => field.contains(".evses.") && !field.contains(".connectors."),
        Of::Connector => field.contains(".connectors."),
    };
    let found = COLUMNS.iter().find(|column| of(column.1) && column.2 == last);
    found.map_or_else(|| field.to_owned(), |column| column.0.to_owned())
}

/// The first line of an export.
pub(super) fn header() -> String {
    COLUMNS.map(|column| column.0).join(",") + "\r\n"
}

/// The lines of a location.
pub(super) fn rows(site: &Exported) -> String {
    let mut writer = ::csv::WriterBuilder::new().terminator(::csv::Terminator::CRLF).from_writer(Vec::new());
    let location = serde_json::to_value(&site.location).unwrap_or_default();
    let mut write = |station: &Value, evse: &Value, connector: &Value| {
        let value = |(_, of, member): (&str, Of, &str)| match of {
            Of::Location => text(&location[member]),
            Of::Coordinates => text(&location["coordinates"][member]),
            Of::Station => text(&station[member]),
            Of::Evse => text(&evse[member]),
            Of::Connector => text(&connector[member]),
        };
        // Writing into memory does not fail.
        let _ = writer.write_record(COLUMNS.map(value));
    };
    if site.stations.is_empty() {
        write(&Value::Null, &Value::Null, &Value::Null);
    }
    for station in &site.stations {
        let station = serde_json::to_value(station).unwrap_or_default();
        let mut alone = true;
        for evse in station["evses"].as_array().into_iter().flatten() {
            for connector in evse["connectors"].as_array().into_iter().flatten() {
                alone = false;
                write(&station, evse, connector);
            }
        }
        if alone {
            write(&station, &Value::Null, &Value::Null);
        }
    }
    String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The fields of one line.
pub(crate) fn fields(line: &str, delimiter: u8) -> Result<Vec<String>, Problem> {
    let mut reader =
        ::csv::ReaderBuilder::new().has_headers(false).delimiter(delimiter).from_reader(line.as_bytes());
    let bad = |error: ::csv::Error| Problem::invalid("line", format!("it is not CSV: {error}"));
    let record = reader.records().next().transpose().map_err(bad)?;
    Ok(record.map(|record| record.iter().map(str::to_owned).collect()).unwrap_or_default())
}

/// Whether a quoted field goes on in the next line.
pub(super) fn is_open(line: &str) -> bool {
    line.bytes().filter(|byte| *byte == b'"').count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str =
        "location_name,address,city,latitude,charger,evse_number,connector_number,standard,max_power_w";

    fn groups(lines: &[&str]) -> Vec<Group> {
        let header = Header::parse(HEADER).unwrap();
        let (mut group, mut all) = (Group::default(), Vec::new());
        for (number, line) in (2..).zip(lines) {
            all.extend(header.add(&mut group, number, line).unwrap());
        }
        all.push(group);
        all
    }

    #[test]
    fn lines_of_one_location_become_one_site() {
        let groups = groups(&[
            "A,\"Street 1, back\",X,1.5,C1,1,1,CHADEMO,50000",
            "A,\"Street 1, back\",X,1.5,C1,1,2,IEC_62196_T2_COMBO,50000",
            "A,\"Street 1, back\",X,1.5,C2,,,IEC_62196_T2,22000",
            "B,Street 2,X,1.5,,,,,",
        ]);
        let site = &groups[0].site;
        assert_eq!(site.location.as_ref().unwrap()["address"], "Street 1, back");
        assert_eq!(site.location.as_ref().unwrap()["coordinates"]["latitude"], "1.5");
        assert_eq!(site.stations.len(), 2);
        assert_eq!(site.stations[0]["evses"].as_array().unwrap().len(), 1);
        assert_eq!(site.stations[0]["evses"][0]["connectors"][1]["max_power_w"], 50000);
        assert_eq!(groups[0].lines, [2, 3, 4]);
        assert_eq!((groups[1].site.stations.len(), &groups[1].lines[..]), (0, &[5][..]));
    }

    #[test]
    fn the_line_of_a_member_at_fault_is_found() {
        let group = &groups(&[
            "A,Street 1,X,1.5,C1,1,1,CHADEMO,50000",
            "A,Street 1,X,1.5,C1,1,2,CHADEMO,fifty",
            "A,Street 1,X,1.5,C2,,,,",
        ])[0];
        assert_eq!(group.site.stations[0]["evses"][0]["connectors"][1]["max_power_w"], "fifty");
        for (field, line) in [
            ("stations.0.evses.0.connectors.1.max_power_w", 3),
            ("stations.0.charger", 2),
            ("stations.1.charger", 4),
            ("coordinates.latitude", 2),
        ] {
            assert_eq!(group.line_of(field), line, "{field}");
        }
    }

    #[test]
    fn a_line_with_too_few_columns_and_a_bad_header_are_refused() {
        let header = Header::parse(HEADER).unwrap();
        assert_eq!(header.add(&mut Group::default(), 2, "A,Street 1").unwrap_err().field(), "line");
        for header in ["charger,charger", "charger,colour", ""] {
            assert_eq!(Header::parse(header).unwrap_err().field(), "header", "{header}");
        }
        assert_eq!(Header::parse("charger;access").unwrap().delimiter, b';');
    }

    #[test]
    fn a_member_at_fault_is_named_by_its_column() {
        for (field, name) in [
            ("coordinates.longitude", "longitude"),
            ("name", "location_name"),
            ("stations.0.charger", "charger"),
            ("stations.0.name", "station_name"),
            ("stations.0.evses.1.number", "evse_number"),
            ("stations.0.evses.0.connectors.0.number", "connector_number"),
            ("stations.0.evses.0.connectors.0.standard", "standard"),
            ("something", "something"),
        ] {
            assert_eq!(column(field), name);
        }
    }
}
