//! The author of a change.

use actix_web::HttpRequest;
use http_server::caller;

/// The author of a change, as the audit trail names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Actor {
    /// The name of the API key, or of the part of Voltgate that acts by itself.
    pub(crate) name: Option<String>,
    /// The address that the call came from.
    pub(crate) address: Option<String>,
}

impl Actor {
    /// The part of acl-service that begins and ends entries on schedule.
    pub(crate) fn scheduler() -> Self {
        Self { name: Some("schedule".to_owned()), address: None }
    }
}

/// The author of this request, as the gate of its resource identified it.
pub(crate) fn actor(request: &HttpRequest) -> Actor {
    let caller = caller(request);
    Actor { name: caller.name, address: caller.address.map(|address| address.to_string()) }
}
