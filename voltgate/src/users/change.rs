//! `voltgate users block`, `unblock`, `roles`, `reset-second-factor` and `sign-out`. Each leaves an entry in the audit trail.

use std::process::ExitCode;

use charging::Tx;
use charging::accounts::audit::{self, Act};
use charging::accounts::sign_ins::{self, Ending};
use charging::accounts::{self, Account, AccountStatus, roles, second_factor};
use common::role::{Role, RoleGrant};
use serde_json::{Value, json};
use service_runtime::exit::Failure;
use uuid::Uuid;

use super::{ACTOR, Users, UsersError, find};

impl Users<'_> {
    pub(super) async fn block(&self, user: &str, reason: &str, block: bool) -> Result<ExitCode, Failure> {
        let status = if block { AccountStatus::Blocked } else { AccountStatus::Active };
        let change = async |tx: &mut Tx, account: &Account| {
            accounts::set_status(tx, account.id, status, Some(reason)).await?;
            Ok::<_, UsersError>(("account.status", json!({"status": status})))
        };
        self.change(user, Some(reason), if block { "blocked" } else { "unblocked" }, change).await
    }

    pub(super) async fn set_roles(
        &self,
        user: &str,
        wanted: &[Role],
        locations: &[Uuid],
        reason: Option<&str>,
    ) -> Result<ExitCode, Failure> {
        let wanted = grants(wanted, locations)?;
        let change = async |tx: &mut Tx, account: &Account| {
            let before = roles::of(tx, account.id).await?;
            roles::set(tx, account.id, &wanted).await?;
            Ok::<_, UsersError>(("account.roles", json!({"before": before, "after": wanted})))
        };
        self.change(user, reason, "changed the roles of", change).await
    }

    pub(super) async fn reset_second_factor(&self, user: &str, reason: &str) -> Result<ExitCode, Failure> {
        let change = async |tx: &mut Tx, account: &Account| {
            second_factor::remove(tx, account.id).await?;
            Ok::<_, UsersError>(("account.second_factor_reset", json!({})))
        };
        self.change(user, Some(reason), "removed the second factor of", change).await
    }

    pub(super) async fn sign_out(&self, user: &str) -> Result<ExitCode, Failure> {
        let change = async |tx: &mut Tx, account: &Account| {
            sign_ins::end_all(tx, account.id, None, Ending::SignedOut).await?;
            Ok::<_, UsersError>(("account.signed_out", json!({})))
        };
        self.change(user, None, "signed out", change).await
    }

    async fn change(
        &self,
        user: &str,
        reason: Option<&str>,
        done: &str,
        change: impl AsyncFn(&mut Tx, &Account) -> Result<(&'static str, Value), UsersError>,
    ) -> Result<ExitCode, Failure> {
        let changed = self.db.write(async |tx| {
            let account = find(tx, user).await?;
            let (action, data) = change(tx, &account).await?;
            let (subject, subject_id) = ("account", account.id);
            audit::write(tx, &Act { actor: ACTOR, action, subject, subject_id, reason, data }).await?;
            Ok::<_, UsersError>((account, action))
        });
        let (account, action) = changed.await.map_err(|error| self.failure(error))?;
        let object = json!({"id": account.id, "username": account.username, "action": action});
        Ok(self.report(&object, &format!("{done} {}", account.username)))
    }
}

/// The locations are those of every role that holds at locations only.
fn grants(wanted: &[Role], locations: &[Uuid]) -> Result<Vec<RoleGrant>, Failure> {
    let is_scoped = |role: &&Role| role.is_scoped();
    match (wanted.iter().find(is_scoped), locations.is_empty()) {
        (None, false) => {
            return Err(Failure::Usage(
                "--location has no effect: only host and staff hold at locations".to_owned(),
            ));
        }
        (Some(role), true) => {
            return Err(Failure::Usage(format!(
                "the role {role} holds at locations: name them with --location"
            )));
        }
        _ => {}
    }
    let grant =
        |role: &Role| RoleGrant { role: *role, location_ids: role.is_scoped().then(|| locations.to_vec()) };
    Ok(wanted.iter().map(grant).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_that_hold_at_locations_need_them_and_others_take_none() {
        let place = Uuid::now_v7();
        let granted = grants(&[Role::Operator, Role::Staff], &[place]).unwrap();
        let places: Vec<Option<Vec<Uuid>>> = granted.into_iter().map(|grant| grant.location_ids).collect();
        assert_eq!(places, [None, Some(vec![place])]);
        for (roles, locations) in [(&[Role::Admin], &[place][..]), (&[Role::Host], &[])] {
            assert!(matches!(grants(roles, locations), Err(Failure::Usage(_))), "{roles:?}");
        }
    }
}
