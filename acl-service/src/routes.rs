//! The one list of routes, and what each does.

use ::metrics::counter;
use actix_web::web::{self, Data, Path, Payload, Query, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use common::ids::{DriverToken, MalformedToken, StationId};
use common::metrics;
use http_api::server::{Status, healthz, resource};
use http_api::{Problem, body};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{Page, Store};

use crate::error::AclError;

/// A change or question about many drivers fits in this: ten thousand tokens of 80 characters.
const LARGEST_BODY: usize = 1024 * 1024;
const MOST_TOKENS: usize = 10_000;
const MOST_PAIRS: usize = 5_000;
const DEFAULT_PAGE: u32 = 100;
const LARGEST_PAGE: u32 = 1000;

type Answer = Result<HttpResponse, AclError>;

pub(crate) fn routes(store: Store) -> impl Fn(&mut ServiceConfig) + Clone {
    let store = Data::new(store);
    move |config| {
        config
            .app_data(store.clone())
            .configure(healthz)
            .service(
                resource("/readyz", "GET, HEAD").route(web::get().to(readyz)).route(web::head().to(readyz)),
            )
            .service(
                resource("/station/{station_id:[^/]*}/driver/{driver_token:[^/]*}/acl", "GET, PUT, DELETE")
                    .route(web::get().to(check))
                    .route(web::put().to(allow))
                    .route(web::delete().to(deny)),
            )
            .service(
                resource("/station/{station_id:[^/]*}/acl", "GET, PUT")
                    .route(web::get().to(list))
                    .route(web::put().to(allow_many)),
            )
            .service(resource("/acl/check", "POST").route(web::post().to(check_many)));
    }
}

#[derive(Serialize)]
struct Allowed<T> {
    allowed: T,
}

#[derive(Serialize)]
struct Changed {
    success: bool,
    new_size: u64,
}

#[derive(Serialize)]
struct ChangedMany {
    success: bool,
    added: u64,
    new_size: u64,
}

#[derive(Serialize)]
struct Listed {
    station_id: StationId,
    driver_tokens: Vec<DriverToken>,
    size: u64,
    cursor: Option<String>,
}

#[derive(Deserialize)]
struct PageQuery {
    cursor: Option<String>,
    limit: Option<String>,
}

async fn check(store: Data<Store>, path: Path<(String, String)>) -> Answer {
    let (station, token) = station_and_token(&path)?;
    let allowed = store.access.contains(station, &token).await?;
    checked(&[allowed]);
    Ok(HttpResponse::Ok().json(Allowed { allowed }))
}

async fn allow(store: Data<Store>, path: Path<(String, String)>) -> Answer {
    let (station, token) = station_and_token(&path)?;
    let added = store.access.add(station, &[token]).await?;
    Ok(HttpResponse::Ok().json(Changed { success: true, new_size: added.size }))
}

async fn deny(store: Data<Store>, path: Path<(String, String)>) -> Answer {
    let (station, token) = station_and_token(&path)?;
    let new_size = store.access.remove(station, &token).await?;
    Ok(HttpResponse::Ok().json(Changed { success: true, new_size }))
}

async fn list(store: Data<Store>, path: Path<String>, query: Query<PageQuery>) -> Answer {
    let station: StationId = path.parse()?;
    let limit = page_limit(query.limit.as_deref())?;
    let cursor = query.cursor.as_deref().filter(|cursor| !cursor.is_empty());
    let Page { tokens, size, next } = store.access.page(station, cursor, limit).await?;
    Ok(HttpResponse::Ok().json(Listed { station_id: station, driver_tokens: tokens, size, cursor: next }))
}

async fn allow_many(
    store: Data<Store>,
    path: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Answer {
    let station: StationId = path.parse()?;
    let body = body::json(&body::read(&request, payload, LARGEST_BODY).await?)?;
    let tokens = tokens(&body)?;
    let added = store.access.add(station, &tokens).await?;
    Ok(HttpResponse::Ok().json(ChangedMany { success: true, added: added.added, new_size: added.size }))
}

async fn check_many(store: Data<Store>, request: HttpRequest, payload: Payload) -> Answer {
    let body = body::json(&body::read(&request, payload, LARGEST_BODY).await?)?;
    let pairs = pairs(&body)?;
    let allowed = store.access.contains_many(&pairs).await?;
    checked(&allowed);
    Ok(HttpResponse::Ok().json(Allowed { allowed }))
}

fn checked(answers: &[bool]) {
    let allowed = answers.iter().filter(|allowed| **allowed).count() as u64;
    for (result, count) in [("allowed", allowed), ("not_allowed", answers.len() as u64 - allowed)] {
        counter!(metrics::ACL_CHECKS, "result" => result).increment(count);
    }
}

async fn readyz(store: Data<Store>) -> Answer {
    store.keyed.ping().await?;
    Ok(HttpResponse::Ok().json(Status::READY))
}

fn station_and_token(path: &(String, String)) -> Result<(StationId, DriverToken), AclError> {
    Ok((path.0.parse()?, DriverToken::parse(&path.1)?))
}

fn page_limit(text: Option<&str>) -> Result<u32, Problem> {
    let Some(text) = text else { return Ok(DEFAULT_PAGE) };
    let limit = text.parse().ok().filter(|limit| (1..=LARGEST_PAGE).contains(limit));
    limit.ok_or_else(|| Problem::invalid("limit", format!("expected a number from 1 to {LARGEST_PAGE}")))
}

fn tokens(body: &Value) -> Result<Vec<DriverToken>, Problem> {
    let expected = || Problem::invalid("driver_tokens", "expected {\"driver_tokens\": [\"…\", …]}");
    let items = body.get("driver_tokens").and_then(Value::as_array).ok_or_else(expected)?;
    if items.len() > MOST_TOKENS {
        return Err(Problem::invalid("driver_tokens", format!("at most {MOST_TOKENS} in one call")));
    }
    let token = |(index, item): (usize, &Value)| {
        let token = item.as_str().and_then(|text| DriverToken::parse(text).ok());
        token.ok_or_else(|| {
            Problem::invalid(
                "driver_tokens",
                format!("item {index} is malformed, nothing was added: {MalformedToken}"),
            )
        })
    };
    items.iter().enumerate().map(token).collect()
}

fn pairs(body: &Value) -> Result<Vec<(StationId, DriverToken)>, Problem> {
    let expected = || {
        Problem::invalid(
            "pairs",
            "expected {\"pairs\": [{\"station_id\": \"…\", \"driver_token\": \"…\"}, …]}",
        )
    };
    let items = body.get("pairs").and_then(Value::as_array).ok_or_else(expected)?;
    if items.len() > MOST_PAIRS {
        return Err(Problem::invalid("pairs", format!("at most {MOST_PAIRS} in one call")));
    }
    let pair = |(index, item): (usize, &Value)| {
        let text = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default();
        let station = text("station_id").parse();
        let station =
            station.map_err(|error| Problem::invalid("station_id", format!("of pair {index}: {error}")))?;
        let token = DriverToken::parse(text("driver_token"));
        let token =
            token.map_err(|error| Problem::invalid("driver_token", format!("of pair {index}: {error}")))?;
        Ok((station, token))
    };
    items.iter().enumerate().map(pair).collect()
}
