//! The roles of accounts, and the locations where those of hosts and staff hold.

use std::collections::BTreeSet;

use common::role::{Role, RoleGrant};
use uuid::Uuid;

use super::locks::{self, Lock};
use super::{AccountError, happened};
use crate::db::{DbError, Tx, on, statements};
use crate::stations::locations;

statements! {
    ADD = "INSERT INTO account_roles (account_id, role) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    ADD_LOCATION = "INSERT INTO role_locations (account_id, role, location_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    REMOVE = "DELETE FROM account_roles WHERE account_id = $1";
    REMOVE_LOCATIONS = "DELETE FROM role_locations WHERE account_id = $1";
    OF = "SELECT r.role, l.location_id FROM account_roles r \
          LEFT JOIN role_locations l ON l.account_id = r.account_id AND l.role = r.role WHERE r.account_id = $1";
    ADMINS = "SELECT COUNT(*) FROM account_roles r JOIN accounts a ON a.id = r.account_id \
              WHERE r.role = 'admin' AND a.status = 'active'";
    AT = "SELECT account_id, role FROM role_locations WHERE location_id = $1";
    HOLDERS = "SELECT account_id FROM account_roles WHERE role = $1 ORDER BY account_id";
}

/// How many locations one role may hold at.
pub const MAX_LOCATIONS: usize = 1000;

/// The roles of an account, the least powerful first.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn of(tx: &mut Tx, account: Uuid) -> Result<Vec<RoleGrant>, DbError> {
    Ok(grants(on!(tx, |c| sqlx::query_as(OF).bind(account).fetch_all(c).await)?))
}

/// Replaces the roles of an account. That of a driver remains in any case. Live streams of the account end, as they were
/// opened with the former roles.
///
/// # Errors
/// Returns an error if a location does not exist, a role needs locations or takes none, the last administrator would be
/// lost, or the database cannot be used.
pub async fn set(tx: &mut Tx, account: Uuid, roles: &[RoleGrant]) -> Result<(), AccountError> {
    locks::hold(tx, Lock::Administrators).await?;
    super::changed(tx, account).await?;
    let was_admin = of(tx, account).await?.iter().any(|grant| grant.role == Role::Admin);
    on!(tx, |c| sqlx::query(REMOVE).bind(account).execute(c).await.map(drop)).map_err(DbError::from)?;
    on!(tx, |c| sqlx::query(REMOVE_LOCATIONS).bind(account).execute(c).await.map(drop))
        .map_err(DbError::from)?;
    add(tx, account, Role::Driver).await?;
    for (place, grant) in roles.iter().enumerate() {
        add(tx, account, grant.role).await?;
        add_locations(tx, account, place, grant).await?;
    }
    if was_admin {
        keep_one_admin(tx, "roles").await?;
    }
    Ok(happened(tx, "account.updated", account, None).await?)
}

async fn add_locations(
    tx: &mut Tx,
    account: Uuid,
    place: usize,
    grant: &RoleGrant,
) -> Result<(), AccountError> {
    let field = || format!("roles.{place}.location_ids");
    let ids = match (grant.role.is_scoped(), &grant.location_ids) {
        (false, None) => return Ok(()),
        (false, Some(_)) => {
            return Err(AccountError::refused(field(), "this role holds everywhere: leave it out"));
        }
        (true, None) => {
            return Err(AccountError::refused(field(), "this role holds at these locations only"));
        }
        (true, Some(ids)) => ids,
    };
    if ids.len() > MAX_LOCATIONS {
        return Err(AccountError::refused(field(), format!("expected at most {MAX_LOCATIONS}")));
    }
    for (index, id) in ids.iter().enumerate() {
        if locations::find(tx, *id).await?.is_none() {
            let field = format!("roles.{place}.location_ids.{index}");
            return Err(AccountError::conflict(field, "there is no location with this id"));
        }
        on!(tx, |c| {
            let query = sqlx::query(ADD_LOCATION).bind(account).bind(grant.role.as_str()).bind(*id);
            query.execute(c).await.map(drop)
        })
        .map_err(DbError::from)?;
    }
    Ok(())
}

/// Refuses a change that has left no administrator, in a transaction that holds them.
pub(super) async fn keep_one_admin(tx: &mut Tx, field: &'static str) -> Result<(), AccountError> {
    match admins(tx).await? {
        0 => Err(AccountError::conflict(field, "this is the last administrator")),
        _ => Ok(()),
    }
}

/// How many active administrators there are.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn admins(tx: &mut Tx) -> Result<i64, DbError> {
    let (count,): (i64,) = on!(tx, |c| sqlx::query_as(ADMINS).fetch_one(c).await)?;
    Ok(count)
}

/// The accounts with a role, or this role, at one of these locations.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn at(tx: &mut Tx, locations: &[Uuid], role: Option<Role>) -> Result<BTreeSet<Uuid>, DbError> {
    let mut found = BTreeSet::new();
    for location in locations {
        let rows: Vec<(Uuid, String)> = on!(tx, |c| sqlx::query_as(AT).bind(*location).fetch_all(c).await)?;
        let of_role = rows.into_iter().filter(|(_, word)| role.is_none_or(|role| role.as_str() == word));
        found.extend(of_role.map(|(account, _)| account));
    }
    Ok(found)
}

/// The accounts with this role, by id.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn holders(tx: &mut Tx, role: Role) -> Result<Vec<Uuid>, DbError> {
    let rows: Vec<(Uuid,)> = on!(tx, |c| sqlx::query_as(HOLDERS).bind(role.as_str()).fetch_all(c).await)?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

pub(super) async fn add(tx: &mut Tx, account: Uuid, role: Role) -> Result<(), DbError> {
    on!(tx, |c| sqlx::query(ADD).bind(account).bind(role.as_str()).execute(c).await.map(drop))?;
    Ok(())
}

/// The roles of rows, each with one of its locations. A role that only a later version knows opens nothing here.
pub(super) fn grants(rows: Vec<(String, Option<Uuid>)>) -> Vec<RoleGrant> {
    let mut grants: Vec<RoleGrant> = Vec::new();
    for (role, location) in rows {
        let Ok(role) = role.parse::<Role>() else { continue };
        let place = grants.iter().position(|grant| grant.role == role).unwrap_or_else(|| {
            grants.push(RoleGrant { role, location_ids: role.is_scoped().then(Vec::new) });
            grants.len() - 1
        });
        if let (Some(ids), Some(location)) = (&mut grants[place].location_ids, location) {
            ids.push(location);
        }
    }
    for ids in grants.iter_mut().filter_map(|grant| grant.location_ids.as_mut()) {
        ids.sort_unstable();
    }
    grants.sort_by_key(|grant| grant.role);
    grants
}
