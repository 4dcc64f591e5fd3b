//! Queries of requests that say everything in their path and body.

use actix_web::HttpRequest;

use crate::Problem;

/// Refuses a query: what it says would be passed over in silence.
///
/// # Errors
/// 400, which names the first parameter.
pub fn none(request: &HttpRequest) -> Result<(), Problem> {
    match request.query_string().split(['&', '=']).find(|part| !part.is_empty()) {
        None => Ok(()),
        Some(name) => {
            let why = format!(
                "there is no parameter `{name:.64}` here: everything is said in the path and the body"
            );
            Err(Problem::invalid("query", why))
        }
    }
}
