//! `GET /api/v1/locations`: all locations, or those found by words or near a point.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use charging::Db;
use charging::stations::Coordinates;
use charging::stations::connectors::Standard;
use charging::stations::coordinates::Degrees;
use charging::stations::search::{self, Found, Wanted, Words};
use http_server::openapi::refusals::{Invalid, Unavailable};
use http_server::{Problem, Query, caller, input, query};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::LocationView;
use crate::error::{Answer, ApiError};
use crate::paging;
use crate::permissions::is_known;

const DEFAULT_RADIUS_M: i64 = 5_000;
const MAX_RADIUS_M: i64 = 100_000;
const MAX_POWER_W: i64 = 5_000_000;
const MAX_WORDS: usize = 200;

/// A page of locations
#[derive(Serialize, ToSchema)]
#[schema(as = Locations)]
pub(crate) struct LocationPage {
    items: Vec<LocationView>,
    /// The cursor of the next page; null at the end
    #[schema(required)]
    cursor: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// A point: latitude, longitude. Locations are sorted by their distance from it
    #[param(
        pattern = r"^-?[0-9]{1,2}(\.[0-9]{1,7})?,-?[0-9]{1,3}(\.[0-9]{1,7})?$",
        example = "52.520008,13.404954"
    )]
    near: Option<String>,
    /// The greatest distance in metres; only with `near`
    #[param(value_type = Option<i64>, minimum = 1, maximum = 100_000, default = 5_000)]
    radius_m: Option<String>,
    /// Locations with a connector of this standard
    #[serde(default, deserialize_with = "input::optional")]
    connector: Option<Standard>,
    /// Locations with a connector of at least this power, in watts
    #[param(value_type = Option<i64>, minimum = 1, maximum = 5_000_000)]
    min_power_w: Option<String>,
    /// `true` for locations where an EVSE is available now
    #[param(value_type = Option<bool>)]
    available: Option<String>,
    /// Words, or beginnings of words, of the name, the address, the city, or a charger
    #[param(max_length = 200)]
    q: Option<String>,
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    limit: Option<String>,
    /// The cursor of the previous page
    #[param(pattern = "^[A-Za-z0-9_-]*$")]
    cursor: Option<String>,
}

/// What is searched for.
enum Search {
    Near {
        place: Coordinates,
        radius_m: i64,
        words: Option<Words>,
    },
    Words(Words),
    All,
    /// The query has no word that could be found.
    Nothing,
}

/// Find locations
///
/// In the order of their creation; with `q` in the order of the word that was found; with `near` by distance.
#[utoipa::path(get, path = "/api/v1/locations", operation_id = "list_locations", tag = "locations", params(ListQuery),
    responses((status = 200, description = "A page of locations", body = LocationPage), Invalid, Unavailable))]
pub(crate) async fn list(db: Data<Db>, Query(given): Query<ListQuery>, request: HttpRequest) -> Answer {
    let sees_chargers = is_known(&caller(&request));
    let limit = query::limit(given.limit.as_deref())?;
    let wanted = wanted(&given)?;
    let (cursor, search) = (given.cursor.as_deref(), search(&given)?);
    let one_more = i64::from(limit) + 1;
    let page = match search {
        Search::Nothing => LocationPage { items: Vec::new(), cursor: None },
        Search::All => {
            let after: Uuid = paging::after(cursor)?.unwrap_or_default();
            let found = db.read(async |tx| search::by_id(tx, wanted, after, one_more).await);
            let mut found = found.await?;
            let next = paging::cut(&mut found, limit).map(|last| paging::cursor(&last.id));
            LocationPage { items: found.iter().map(LocationView::of).collect(), cursor: next }
        }
        Search::Words(words) => {
            let (word, location_id): (String, Uuid) = paging::after(cursor)?.unwrap_or_default();
            if !word.chars().all(char::is_alphanumeric) {
                return Err(paging::bad_cursor().into());
            }
            let after = Found { word, location_id };
            let found = db
                .read(async |tx| search::by_words(tx, &words, sees_chargers, wanted, &after, one_more).await);
            let mut found = found.await?;
            let next = paging::cut(&mut found, limit);
            LocationPage {
                items: found.iter().map(|(_, location)| LocationView::of(location)).collect(),
                cursor: next.map(|(found, _)| paging::cursor(&(found.word, found.location_id))),
            }
        }
        Search::Near { place, radius_m, words } => {
            let after: (i64, Uuid) = paging::after(cursor)?.unwrap_or((-1, Uuid::nil()));
            let found = db.read(async |tx| {
                let words = words.as_ref();
                let limit = usize::from(limit) + 1;
                search::near(tx, place, radius_m, words, sees_chargers, wanted, after, limit).await
            });
            let mut found = found.await?;
            let next = paging::cut(&mut found, limit);
            LocationPage {
                items: found
                    .iter()
                    .map(|(metres, location)| LocationView::at_distance(location, *metres))
                    .collect(),
                cursor: next.map(|(metres, location)| paging::cursor(&(metres, location.id))),
            }
        }
    };
    Ok::<_, ApiError>(HttpResponse::Ok().json(page))
}

fn wanted(given: &ListQuery) -> Result<Wanted, Problem> {
    let available = query::flag("available", given.available.as_deref())?;
    let min_power_w = number("min_power_w", given.min_power_w.as_deref(), MAX_POWER_W)?;
    Ok(Wanted { standard: given.connector, min_power_w, available })
}

fn search(query: &ListQuery) -> Result<Search, Problem> {
    let text = query.q.as_deref().map(str::trim).filter(|text| !text.is_empty());
    if text.is_some_and(|text| text.chars().count() > MAX_WORDS) {
        return Err(Problem::invalid("q", format!("expected {MAX_WORDS} characters at most")));
    }
    let words = text.map(Words::of);
    let radius_m = number("radius_m", query.radius_m.as_deref(), MAX_RADIUS_M)?;
    match (query.near.as_deref(), words) {
        (None, _) if radius_m.is_some() => Err(Problem::invalid("radius_m", "it is of use only with near")),
        (_, Some(None)) => Ok(Search::Nothing),
        (None, None) => Ok(Search::All),
        (None, Some(Some(words))) => Ok(Search::Words(words)),
        (Some(near), words) => {
            let radius_m = radius_m.unwrap_or(DEFAULT_RADIUS_M);
            Ok(Search::Near { place: point(near)?, radius_m, words: words.flatten() })
        }
    }
}

fn point(text: &str) -> Result<Coordinates, Problem> {
    let parse = || -> Option<Coordinates> {
        let (latitude, longitude) = text.split_once(',')?;
        let (latitude, longitude): (Degrees<90>, Degrees<180>) =
            (latitude.trim().parse().ok()?, longitude.trim().parse().ok()?);
        Some(Coordinates { latitude, longitude })
    };
    parse().ok_or_else(|| {
        Problem::invalid(
            "near",
            "expected latitude,longitude such as 52.520008,13.404954, from -90 to 90 and from -180 to 180",
        )
    })
}

fn number(field: &'static str, text: Option<&str>, most: i64) -> Result<Option<i64>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let number = text.parse().ok().filter(|number| (1..=most).contains(number));
    number.map(Some).ok_or_else(|| Problem::invalid(field, format!("expected 1 to {most}")))
}
