//! What a method of a resource needs, as the one list of routes states it.

use actix_web::http::Method;
use common::api_key::Scope;

/// Who may use a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody, as often as they like: health checks and public keys.
    Open,
    /// Who has a key with one of these scopes; anybody where keys are optional or off.
    With(&'static [Scope]),
}

impl Access {
    /// Who may ask whether a driver may charge.
    pub const AUTHORIZE: Self = Self::With(&[Scope::Authorize]);
    /// Who may see requests and decisions.
    pub const READ: Self = Self::With(&[Scope::Read]);
    /// Who may see access lists.
    pub const SEE_ACL: Self = Self::With(&[Scope::Read, Scope::Acl]);
    /// Who may ask about single drivers: to authorize one tells as much.
    pub const CHECK_ACL: Self = Self::With(&[Scope::Authorize, Scope::Read, Scope::Acl]);
    /// Who may change access lists.
    pub const CHANGE_ACL: Self = Self::With(&[Scope::Acl]);

    /// Who may make a decision be told again.
    pub const ADMIN: Self = Self::With(&[Scope::Admin]);

    /// What this method needs, of a list of methods such as `"GET, HEAD"`.
    pub(crate) fn of(methods: &[(&'static str, Self)], method: &Method) -> Option<Self> {
        let has = |names: &str| names.split(", ").any(|name| name == method.as_str());
        methods.iter().find(|(names, _)| has(names)).map(|(_, access)| *access)
    }

    /// The value of `Allow`.
    pub(crate) fn allow(methods: &[(&'static str, Self)]) -> String {
        methods.iter().map(|(names, _)| *names).collect::<Vec<_>>().join(", ")
    }
}
