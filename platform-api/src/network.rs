//! `/api/v1/network`: export and import of all locations with their stations.

mod csv;
mod export;
mod import;
mod json;
mod report;
mod site;

pub(crate) use self::csv::fields;
pub(crate) use self::export::{__path_export, export};
pub(crate) use self::import::{__path_import, import};
pub(crate) use self::report::{Count, RefusedLine, Tally};

/// The form of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// One object: `{"locations":[…],"stations":[…]}`.
    Json,
    /// One location with its stations a line.
    Ndjson,
    /// One connector a line, with its station and its location.
    Csv,
}

impl Format {
    fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv",
        }
    }
}
