//! Who calls: what the gate found out, for handlers that keep an audit trail.

use std::net::IpAddr;

use actix_web::{HttpMessage, HttpRequest};
use common::api_key::KeyId;

/// The caller of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Whose key it is, in its creator's words; nothing without a key.
    pub name: Option<String>,
    /// The key's id, which is no secret; nothing without a key.
    pub id: Option<KeyId>,
    /// Where the request came from: the client before a trusted proxy, otherwise the peer.
    pub address: Option<IpAddr>,
}

/// The caller of this request, as the gate of its resource found out.
pub fn caller(request: &HttpRequest) -> Caller {
    let known = request.extensions().get::<Caller>().cloned();
    known.unwrap_or_else(|| Caller {
        name: None,
        id: None,
        address: request.peer_addr().map(|peer| peer.ip().to_canonical()),
    })
}
