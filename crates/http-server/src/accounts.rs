//! Accounts as callers: who presents an access token, and what a method requires of them. A service that has accounts
//! implements [`Accounts`].

use async_trait::async_trait;
use common::api_key::Scope;
use common::role::{Role, RoleGrant};
use uuid::Uuid;

/// What a method requires: one of these roles, or a key with one of these scopes. A row of a service's table of permissions.
#[derive(Debug, PartialEq, Eq)]
pub struct Permission {
    /// What it permits, in words.
    pub name: &'static str,
    /// The roles that have it.
    pub roles: &'static [Role],
    /// The scopes of API keys that have it.
    pub scopes: &'static [Scope],
}

/// An account that is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: Uuid,
    /// The sign-in that the access token belongs to, its `sid`.
    pub sign_in: Uuid,
    /// Its roles at this moment.
    pub roles: Vec<RoleGrant>,
}

/// Why an access token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotSignedIn {
    /// It is malformed or has expired, or the sign-in has ended.
    Refused,
    /// It cannot be verified at present.
    Unavailable,
}

/// Verifies access tokens.
#[async_trait]
pub trait Accounts: Send + Sync {
    /// The account that presents this token. Roles and blocks are those of this moment.
    async fn verify(&self, access_token: &str) -> Result<Account, NotSignedIn>;
}

impl Account {
    /// Whether it has one of these roles, anywhere.
    pub fn has(&self, roles: &[Role]) -> bool {
        self.roles.iter().any(|grant| roles.contains(&grant.role))
    }
}
