//! `GET /requests`: which requests there were, newest first, a page at a time.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use http_api::Problem;
use serde::Serialize;
use store::{NoPlace, Place};

use super::{Shown, filter};
use crate::acceptance::Acceptance;
use crate::error::ApiError;

const DEFAULT_LIMIT: usize = 50;
const LARGEST_LIMIT: usize = 500;

/// A page. It may be short of its limit, or empty, and have a next one: the work for a page is bounded.
#[derive(Serialize)]
struct Listed {
    requests: Vec<Shown>,
    /// Of the next page; null at the end.
    cursor: Option<String>,
}

pub(crate) async fn list(
    acceptance: Data<Acceptance>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let own = ["delivery", "from", "to", "limit", "cursor"];
    let (filter, rest) = filter::read(request.query_string(), &own)?;
    let (mut limit, mut after) = (DEFAULT_LIMIT, None);
    for (name, value) in &rest {
        match name.as_str() {
            "limit" => limit = parse_limit(value)?,
            // Empty as on the first page, for who has nothing to put there yet.
            _ if value.is_empty() => {}
            _ => after = Some(cursor(value)?),
        }
    }
    let listing = acceptance.store.search.list(&filter, after, limit).await.map_err(ApiError::Store)?;
    Ok(HttpResponse::Ok().json(Listed {
        requests: listing.records.into_iter().map(Shown::from).collect(),
        cursor: listing.next.map(|next| next.to_string()),
    }))
}

fn parse_limit(text: &str) -> Result<usize, Problem> {
    let limit = text.parse().ok().filter(|limit| (1..=LARGEST_LIMIT).contains(limit));
    limit.ok_or_else(|| Problem::invalid("limit", format!("expected 1 to {LARGEST_LIMIT}")))
}

fn cursor(text: &str) -> Result<Place, Problem> {
    text.parse().map_err(|error: NoPlace| Problem::invalid("cursor", error.to_string()))
}
