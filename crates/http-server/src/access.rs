//! The scopes that each method of a resource requires, as its single list of routes states them.

use actix_web::http::Method;
use common::api_key::Scope;

use crate::accounts::Permission;

/// Who may use a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Any caller, without a rate limit: health checks and public keys.
    Open,
    /// Callers whose key has one of these scopes; any caller where keys are optional or off.
    With(&'static [Scope]),
    /// Accounts and keys that have this permission.
    Granted(&'static Permission),
    /// Any caller, within the rate limit. A key is not required; a wrong one is rejected.
    Public,
    /// Any caller, within the rate limit. Credentials are ignored: who signs in may still send those that have expired.
    Anonymous,
}

impl Access {
    /// Requests for a decision.
    pub const AUTHORIZE: Self = Self::With(&[Scope::Authorize]);
    /// Reading requests and decisions.
    pub const READ: Self = Self::With(&[Scope::Read]);
    /// Reading access lists.
    pub const SEE_ACL: Self = Self::With(&[Scope::Read, Scope::Acl]);
    /// Checking single drivers. The scope `authorize` suffices, as its decisions reveal the same.
    pub const CHECK_ACL: Self = Self::With(&[Scope::Authorize, Scope::Read, Scope::Acl]);
    /// Changing access lists.
    pub const CHANGE_ACL: Self = Self::With(&[Scope::Acl]);

    /// Redelivering a decision.
    pub const ADMIN: Self = Self::With(&[Scope::Admin]);

    /// What this method requires, from a list of methods such as `"GET, HEAD"`.
    pub(crate) fn of(methods: &[(&'static str, Self)], method: &Method) -> Option<Self> {
        let has = |names: &str| names.split(", ").any(|name| name == method.as_str());
        methods.iter().find(|(names, _)| has(names)).map(|(_, access)| *access)
    }

    /// Whether accounts are callers too.
    pub(crate) fn is_granted(self) -> bool {
        matches!(self, Self::Granted(_))
    }

    /// The value of `Allow`.
    pub(crate) fn allow(methods: &[(&'static str, Self)]) -> String {
        methods.iter().map(|(names, _)| *names).collect::<Vec<_>>().join(", ")
    }
}
