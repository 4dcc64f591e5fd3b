//! Query strings of requests that take none.

use actix_web::HttpRequest;

use crate::Problem;

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
