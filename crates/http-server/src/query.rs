//! Query strings: parsed as the struct that documents their parameters, or rejected where a request takes none.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use serde::de::DeserializeOwned;

use crate::{Problem, input};

const DEFAULT_LIMIT: u16 = 50;
const MAX_LIMIT: u16 = 500;

/// The parameters of a request. Unknown and repeated ones are rejected if the struct has `deny_unknown_fields`.
#[derive(Debug, Clone)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let pairs = web::Query::<Vec<_>>::from_query(request.query_string());
        let pairs = pairs.map_err(|error| Problem::invalid("query", error.to_string()));
        ready(pairs.and_then(|pairs| input::query(&pairs.0)).map(Self))
    }
}

/// The number of items of a page: 1 to 500, 50 unless given.
///
/// # Errors
/// Returns 400 for another one.
pub fn limit(text: Option<&str>) -> Result<u16, Problem> {
    let Some(text) = text else { return Ok(DEFAULT_LIMIT) };
    let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| Problem::invalid("limit", format!("expected 1 to {MAX_LIMIT}")))
}

/// A parameter that is `true` or `false`; `false` unless given.
///
/// # Errors
/// Returns 400 for anything else.
pub fn flag(name: &'static str, text: Option<&str>) -> Result<bool, Problem> {
    match text {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(Problem::invalid(name, "expected true or false")),
    }
}

/// Rejects a query string: its parameters would be silently ignored.
///
/// # Errors
/// Returns 400, which names the first parameter.
pub fn none(request: &HttpRequest) -> Result<(), Problem> {
    match request.query_string().split(['&', '=']).find(|part| !part.is_empty()) {
        None => Ok(()),
        Some(name) => {
            let why = format!("unknown parameter `{name:.64}`: this request takes no query parameters");
            Err(Problem::invalid("query", why))
        }
    }
}
