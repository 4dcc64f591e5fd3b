//! The scopes that each method of a resource requires, as its single list of routes states them.

use actix_web::http::Method;
use common::api_key::Scope;

/// Who may use a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Any caller, without a rate limit: health checks and public keys.
    Open,
    /// Callers whose key has one of these scopes; any caller where keys are optional or off.
    With(&'static [Scope]),
    /// Any caller, within the rate limit. A key is not required; a wrong one is rejected.
    Public,
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

    /// Reading what the platform does not show to everyone.
    pub const PLATFORM_READ: Self = Self::With(&[Scope::PlatformRead, Scope::PlatformOperate]);
    /// Changing what operators of the platform work with.
    pub const PLATFORM_OPERATE: Self = Self::With(&[Scope::PlatformOperate]);

    /// Redelivering a decision.
    pub const ADMIN: Self = Self::With(&[Scope::Admin]);

    /// What this method requires, from a list of methods such as `"GET, HEAD"`.
    pub(crate) fn of(methods: &[(&'static str, Self)], method: &Method) -> Option<Self> {
        let has = |names: &str| names.split(", ").any(|name| name == method.as_str());
        methods.iter().find(|(names, _)| has(names)).map(|(_, access)| *access)
    }

    /// Whether a scope of the platform is required.
    pub(crate) fn is_of_platform(self) -> bool {
        matches!(self, Self::With(scopes) if scopes.iter().any(|scope| scope.is_of_platform()))
    }

    /// The value of `Allow`.
    pub(crate) fn allow(methods: &[(&'static str, Self)]) -> String {
        methods.iter().map(|(names, _)| *names).collect::<Vec<_>>().join(", ")
    }
}
