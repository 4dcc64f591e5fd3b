//! `voltgate users list` and `show`.

use std::process::ExitCode;

use charging::accounts::sign_ins::{self, SignIn};
use charging::accounts::{self, Account, Filter, roles};
use common::role::{Role, RoleGrant};
use serde_json::{Value, json};
use service_runtime::exit::Failure;
use uuid::Uuid;

use super::{Users, UsersError, find};
use crate::terminal;

const PAGE: i64 = 500;

impl Users<'_> {
    pub(super) async fn list(&self, role: Option<Role>, begins: Option<String>) -> Result<ExitCode, Failure> {
        let filter = Filter { prefix: begins.filter(|text| !text.is_empty()), role, at: None };
        if !self.as_json {
            let bold = terminal::bold();
            terminal::line(&format!("{bold}{}{bold:#}", row("id", "status", "username", "roles")));
        }
        let mut after = Uuid::nil();
        loop {
            let page = self.db.read(async |tx| {
                let mut page = Vec::new();
                for account in accounts::list(tx, &filter, after, PAGE).await? {
                    let roles = roles::of(tx, account.id).await?;
                    page.push((account, roles));
                }
                Ok::<_, UsersError>(page)
            });
            let page = page.await.map_err(|error| self.failure(error))?;
            let Some((last, _)) = page.last() else { return Ok(ExitCode::SUCCESS) };
            after = last.id;
            for (account, roles) in &page {
                let line = if self.as_json {
                    shown(account, roles).to_string()
                } else {
                    row(&account.id.to_string(), account.status.as_str(), &account.username, &words(roles))
                };
                if !terminal::line(&line) {
                    return Ok(ExitCode::SUCCESS);
                }
            }
        }
    }

    pub(super) async fn show(&self, user: &str) -> Result<ExitCode, Failure> {
        let found = self.db.read(async |tx| {
            let account = find(tx, user).await?;
            let (roles, signed_in) =
                (roles::of(tx, account.id).await?, sign_ins::live(tx, account.id).await?);
            Ok::<_, UsersError>((account, roles, signed_in))
        });
        let (account, roles, signed_in) = found.await.map_err(|error| self.failure(error))?;
        let mut object = shown(&account, &roles);
        object["sign_ins"] = signed_in.iter().map(sign_in).collect();
        terminal::line(&if self.as_json { object.to_string() } else { format!("{object:#}") });
        Ok(ExitCode::SUCCESS)
    }
}

/// The command shows what it can read in the database.
fn shown(account: &Account, roles: &[RoleGrant]) -> Value {
    json!({
        "id": account.id,
        "username": account.username,
        "email": account.email,
        "name": account.name,
        "roles": roles,
        "status": account.status,
        "reason": account.status_reason,
        "second_factor": account.totp_confirmed,
        "created_at": account.created_at,
        "updated_at": account.updated_at,
    })
}

fn sign_in(one: &SignIn) -> Value {
    json!({"id": one.id, "client": one.client, "last_used_at": one.last_used_at, "expires_at": one.expires_at})
}

fn row(id: &str, status: &str, username: &str, roles: &str) -> String {
    format!("{id:<36}  {status:<8} {username:<24} {roles}")
}

fn words(roles: &[RoleGrant]) -> String {
    let places =
        |grant: &RoleGrant| grant.location_ids.as_ref().map(|ids| format!(" ({} locations)", ids.len()));
    let word = |grant: &RoleGrant| format!("{}{}", grant.role, places(grant).unwrap_or_default());
    roles.iter().map(word).collect::<Vec<_>>().join(", ")
}
