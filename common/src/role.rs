//! The roles of accounts, and where they hold.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What an account may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Charges vehicles. Every account has this role.
    Driver,
    /// Owns sites, and sees what happens there.
    Host,
    /// Works at sites.
    Staff,
    /// Operates the platform.
    Operator,
    /// May do everything.
    Admin,
}

/// A role of an account. The roles of hosts and of staff hold at the named locations only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RoleGrant {
    /// The role.
    pub role: Role,
    /// Where it holds, for hosts and staff; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location_ids: Option<Vec<Uuid>>,
}

/// The text names no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected one of driver, host, staff, operator, admin")]
pub struct NotRole;

impl Role {
    /// All of them, the least powerful first.
    pub const ALL: [Self; 5] = [Self::Driver, Self::Host, Self::Staff, Self::Operator, Self::Admin];

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Driver => "driver",
            Self::Host => "host",
            Self::Staff => "staff",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// Whether the role holds at named locations only.
    pub const fn is_scoped(self) -> bool {
        matches!(self, Self::Host | Self::Staff)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = NotRole;

    fn from_str(text: &str) -> Result<Self, NotRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(NotRole)
    }
}
