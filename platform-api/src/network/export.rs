//! `GET /api/v1/network`: everything, as a stream.

use actix_web::HttpResponse;
use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use actix_web::web::{Bytes, Data};
use charging::stations::charging_stations::{self, Station};
use charging::stations::locations::{self, Location};
use charging::stations::{LocationDraft, StationDraft};
use charging::{Db, DbError};
use futures_util::stream;
use http_server::openapi::refusals::{Invalid, Unavailable};
use http_server::{Problem, Query};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use utoipa::IntoParams;
use uuid::Uuid;

use super::{Format, csv};
use crate::error::Answer;

const AT_ONCE: i64 = 50;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExportQuery {
    /// `json`: one object; `ndjson`: one location a line; `csv`: one connector a line, without opening times and booking
    /// terms
    #[param(value_type = Option<String>, pattern = "^(json|ndjson|csv)$", default = "json")]
    format: Option<String>,
}

/// A location with its stations, as an import takes it.
#[derive(Debug, Serialize)]
pub(super) struct Exported {
    #[serde(flatten)]
    pub(super) location: Option<LocationDraft>,
    pub(super) stations: Vec<StationDraft>,
}

/// How far an export is.
#[derive(Clone, Copy)]
enum Stage {
    Begin,
    Locations {
        after: Uuid,
        first: bool,
    },
    /// Those without a location.
    Stations {
        after: Uuid,
        first: bool,
    },
    End,
    Done,
}

/// Export all locations and stations
///
/// The import takes what the export returns, in each of the formats.
#[utoipa::path(get, path = "/api/v1/network", operation_id = "export_network", tag = "network", params(ExportQuery),
    responses((status = 200, description = "The network", content((Object = "application/json"),
        (String = "application/x-ndjson"), (String = "text/csv"))), Invalid, Unavailable))]
pub(crate) async fn export(db: Data<Db>, Query(query): Query<ExportQuery>) -> Answer {
    let format = match query.format.as_deref() {
        None | Some("json") => Format::Json,
        Some("ndjson") => Format::Ndjson,
        Some("csv") => Format::Csv,
        Some(_) => return Err(Problem::invalid("format", "expected json, ndjson or csv").into()),
    };
    // A database that is away is reported by a status, not by a body that breaks off.
    db.probe().await?;
    let body = stream::unfold((db, Stage::Begin), move |(db, stage)| async move {
        let next = step(&db, format, stage).await;
        match next {
            Ok(Some((text, stage))) => Some((Ok(Bytes::from(text)), (db, stage))),
            Ok(None) => None,
            Err(error) => {
                tracing::warn!(%error, "an export broke off");
                Some((Err(std::io::Error::other(error)), (db, Stage::Done)))
            }
        }
    });
    let name = match format {
        Format::Json => "network.json",
        Format::Ndjson => "network.ndjson",
        Format::Csv => "network.csv",
    };
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, format.content_type()))
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")))
        .streaming(body))
}

/// The next piece of text, and what follows it.
async fn step(db: &Db, format: Format, stage: Stage) -> Result<Option<(String, Stage)>, DbError> {
    let (after, first) = (Uuid::nil(), true);
    Ok(Some(match stage {
        Stage::Begin => {
            let text = match format {
                Format::Json => "{\"locations\":[\n".to_owned(),
                Format::Ndjson => String::new(),
                Format::Csv => csv::header(),
            };
            (text, Stage::Locations { after, first })
        }
        Stage::Locations { after, first } => {
            let found = db.read(async move |tx| {
                let locations = locations::list(tx, after, AT_ONCE).await?;
                let ids: Vec<Uuid> = locations.iter().map(|location| location.id).collect();
                Ok::<_, DbError>((locations, charging_stations::at_locations(tx, &ids).await?))
            });
            let (locations, stations) = found.await?;
            match locations.last().map(|last| last.id) {
                None => {
                    let text = if format == Format::Json { "],\"stations\":[\n" } else { "" };
                    (text.to_owned(), Stage::Stations { after: Uuid::nil(), first: true })
                }
                Some(last) => {
                    let all = with_stations(locations, stations);
                    (write(format, all.iter(), first, json), Stage::Locations { after: last, first: false })
                }
            }
        }
        Stage::Stations { after, first } => {
            let found = db
                .read(async move |tx| charging_stations::without_location(tx, after, AT_ONCE).await)
                .await?;
            match found.last().map(|last| last.row.id) {
                None => (if format == Format::Json { "]}\n" } else { "" }.to_owned(), Stage::End),
                Some(last) => {
                    let alone = |station| Exported { location: None, stations: vec![draft(&station)] };
                    let all: Vec<Exported> = found.into_iter().map(alone).collect();
                    let text = write(format, all.iter(), first, |site| match format {
                        Format::Json => site.stations.first().map(json).unwrap_or_default(),
                        _ => json(site),
                    });
                    (text, Stage::Stations { after: last, first: false })
                }
            }
        }
        Stage::End | Stage::Done => return Ok(None),
    }))
}

fn write<'a>(
    format: Format,
    all: impl Iterator<Item = &'a Exported>,
    mut first: bool,
    json: impl Fn(&Exported) -> String,
) -> String {
    let mut text = String::new();
    for site in all {
        match format {
            Format::Csv => text.push_str(&csv::rows(site)),
            Format::Ndjson => {
                text.push_str(&json(site));
                text.push('\n');
            }
            Format::Json => {
                text.push_str(if first { "" } else { ",\n" });
                text.push_str(&json(site));
            }
        }
        first = false;
    }
    text
}

fn json(document: &impl Serialize) -> String {
    serde_json::to_string(document).unwrap_or_default()
}

fn with_stations(locations: Vec<Location>, stations: Vec<Station>) -> Vec<Exported> {
    let mut by_location: HashMap<Uuid, Vec<StationDraft>> = HashMap::new();
    for station in stations {
        if let Some(location) = station.row.location_id {
            by_location.entry(location).or_default().push(draft(&station));
        }
    }
    let site = |location: Location| Exported {
        stations: by_location.remove(&location.id).unwrap_or_default(),
        location: Some(LocationDraft { id: Some(location.id), ..location.draft }),
    };
    locations.into_iter().map(site).collect()
}

fn draft(station: &Station) -> StationDraft {
    // The location is the one that it is below.
    StationDraft { id: Some(station.row.id), location_id: None, ..station.draft() }
}
