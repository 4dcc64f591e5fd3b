//! Who asks for a change.

use actix_web::HttpRequest;
use http_api::caller;

/// Whoever stands behind a change in the audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Actor {
    /// The name of the API key that was used, or of the part of Voltgate that acts by itself.
    pub(crate) name: Option<String>,
    /// The address that the call came from.
    pub(crate) address: Option<String>,
}

impl Actor {
    /// The part of acl-service that begins and ends entries at their time.
    pub(crate) fn scheduler() -> Self {
        Self { name: Some("schedule".to_owned()), address: None }
    }
}

/// Who sent this request, as the gate of its resource found out.
pub(crate) fn actor(request: &HttpRequest) -> Actor {
    let caller = caller(request);
    Actor { name: caller.name, address: caller.address.map(|address| address.to_string()) }
}
