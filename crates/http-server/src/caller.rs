//! The caller of a request, as the gate identified it, for handlers that keep an audit trail.

use std::net::IpAddr;

use actix_web::{HttpMessage, HttpRequest};
use common::api_key::{KeyId, Scope, Scopes};

use crate::accounts::{Account, Permission};

/// The caller of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The key's name, in its creator's words; `None` without a key.
    pub name: Option<String>,
    /// The key's id, which is not a secret; `None` without a key.
    pub id: Option<KeyId>,
    /// The key's scopes; `None` without a key.
    pub scopes: Option<Scopes>,
    /// The account that is signed in; `None` without an access token.
    pub account: Option<Account>,
    /// Where the request came from: the client in front of a trusted proxy, otherwise the peer.
    pub address: Option<IpAddr>,
}

impl Caller {
    /// Whether the key has one of these scopes.
    pub fn may(&self, sufficient: &[Scope]) -> bool {
        self.scopes.as_ref().is_some_and(|scopes| scopes.admit(sufficient))
    }

    /// Whether the account or the key has the permission, anywhere.
    pub fn has(&self, permission: &Permission) -> bool {
        let by_role = self.account.as_ref().is_some_and(|account| account.has(permission.roles));
        by_role || self.may(permission.scopes)
    }

    /// The caller without a key or an account.
    pub(crate) fn stranger(address: Option<IpAddr>) -> Self {
        Self { name: None, id: None, scopes: None, account: None, address }
    }
}

/// The caller of this request, as the gate of its resource identified it.
pub fn caller(request: &HttpRequest) -> Caller {
    let known = request.extensions().get::<Caller>().cloned();
    known.unwrap_or_else(|| Caller::stranger(request.peer_addr().map(|peer| peer.ip().to_canonical())))
}
