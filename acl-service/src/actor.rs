//! The author of a change.

use actix_web::HttpRequest;
use common::on_behalf_of::{HEADER, MalformedOnBehalfOf, OnBehalfOf};
use http_server::{Problem, caller};
use utoipa::IntoParams;

/// The author of a change, as the audit trail names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Actor {
    /// The name of the API key, or of the part of Voltgate that acts by itself.
    pub(crate) name: Option<String>,
    /// For whom it acts, as it says.
    pub(crate) on_behalf_of: Option<OnBehalfOf>,
    /// The address that the call came from.
    pub(crate) address: Option<String>,
}

/// The header of every call that changes something.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes the header that `actor` reads")]
pub(crate) struct Author {
    /// For whom the caller makes the change: 1 to 100 visible characters, such as `user:` and an id. It is kept in the
    /// audit trail beside the name of the caller's key
    #[param(rename = "X-On-Behalf-Of", min_length = 1, max_length = 100, pattern = "^[!-~]+$")]
    on_behalf_of: Option<String>,
}

impl Actor {
    /// The part of acl-service that begins and ends entries on schedule.
    pub(crate) fn scheduler() -> Self {
        Self { name: Some("schedule".to_owned()), on_behalf_of: None, address: None }
    }
}

/// The author of this request, as the gate of its resource identified it.
///
/// # Errors
/// Returns 400 for a malformed or repeated `X-On-Behalf-Of`.
pub(crate) fn actor(request: &HttpRequest) -> Result<Actor, Problem> {
    let malformed = |error: MalformedOnBehalfOf| Problem::invalid(HEADER, error.to_string());
    let mut given = request.headers().get_all(HEADER);
    let on_behalf_of = match (given.next(), given.next()) {
        (None, _) => None,
        (Some(value), None) => {
            let text = value.to_str().map_err(|_| malformed(MalformedOnBehalfOf))?;
            Some(text.parse().map_err(malformed)?)
        }
        (Some(_), Some(_)) => return Err(Problem::invalid(HEADER, "it is given more than once")),
    };
    let caller = caller(request);
    let address = caller.address.map(|address| address.to_string());
    Ok(Actor { name: caller.name, on_behalf_of, address })
}
