//! The members of fleets. Who is invited by the payer becomes a member by accepting.

use uuid::Uuid;

use super::take;
use crate::accounts::AccountError;
use crate::db::{At, DbError, Tx, on, row, statements, words};
use crate::tokens::changes::leave_fleet;

statements! {
    ADD = "INSERT INTO fleet_members (fleet_id, account_id, status, since) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
    ACTIVATE = "UPDATE fleet_members SET status = $3, since = $4 WHERE fleet_id = $1 AND account_id = $2 AND status <> $3";
    FIND = "SELECT fleet_id, account_id, status, since FROM fleet_members WHERE fleet_id = $1 AND account_id = $2";
    LIST = "SELECT fleet_id, account_id, status, since FROM fleet_members WHERE fleet_id = $1 AND account_id > $2 \
            ORDER BY account_id LIMIT $3";
    OF_ACCOUNT = "SELECT fleet_id, account_id, status, since FROM fleet_members WHERE account_id = $1 AND fleet_id > $2 \
                  ORDER BY fleet_id LIMIT $3";
    REMOVE = "DELETE FROM fleet_members WHERE fleet_id = $1 AND account_id = $2";
}

words! {
    /// Whether the account has accepted
    pub enum MemberStatus {
        /// The payer has invited the account.
        Invited = "invited",
        /// It is a member.
        Active = "active",
    }
}

row! {
    /// A member of a fleet.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct FleetMember {
        /// The fleet.
        pub fleet_id: Uuid,
        /// The account.
        pub account_id: Uuid,
        /// Whether it has accepted.
        pub status: MemberStatus,
        /// Since when it has this status.
        pub since: At,
    }
}

/// Invites an account, or makes it a member at once. One that is a member stays one.
///
/// # Errors
/// Returns an error if the account or the fleet does not exist, or the database cannot be used.
pub async fn add(
    tx: &mut Tx,
    fleet: Uuid,
    account: Uuid,
    status: MemberStatus,
) -> Result<FleetMember, AccountError> {
    if !crate::accounts::take(tx, account).await? {
        return Err(AccountError::conflict("user_id", "there is no account with this id"));
    }
    if !take(tx, fleet).await? {
        return Err(AccountError::NotFound);
    }
    on!(tx, |c| {
        let query = sqlx::query(ADD).bind(fleet).bind(account).bind(status);
        query.bind(At::now()).execute(c).await.map(drop)
    })
    .map_err(DbError::from)?;
    if status == MemberStatus::Active {
        return activate(tx, fleet, account).await;
    }
    find(tx, fleet, account).await?.ok_or(AccountError::NotFound)
}

/// Accepts an invitation. What was accepted before stays so.
///
/// # Errors
/// Returns an error if there is no invitation, or the database cannot be used.
pub async fn activate(tx: &mut Tx, fleet: Uuid, account: Uuid) -> Result<FleetMember, AccountError> {
    on!(tx, |c| {
        let query = sqlx::query(ACTIVATE).bind(fleet).bind(account).bind(MemberStatus::Active);
        query.bind(At::now()).execute(c).await.map(drop)
    })
    .map_err(DbError::from)?;
    find(tx, fleet, account).await?.ok_or(AccountError::NotFound)
}

/// The membership of an account in a fleet.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn find(tx: &mut Tx, fleet: Uuid, account: Uuid) -> Result<Option<FleetMember>, DbError> {
    Ok(on!(tx, |c| sqlx::query_as(FIND).bind(fleet).bind(account).fetch_optional(c).await)?)
}

/// The members of a fleet after this account, by account.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn list(tx: &mut Tx, fleet: Uuid, after: Uuid, limit: i64) -> Result<Vec<FleetMember>, DbError> {
    Ok(on!(tx, |c| sqlx::query_as(LIST).bind(fleet).bind(after).bind(limit).fetch_all(c).await)?)
}

/// The memberships of an account after this fleet, by fleet.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn of_account(
    tx: &mut Tx,
    account: Uuid,
    after: Uuid,
    limit: i64,
) -> Result<Vec<FleetMember>, DbError> {
    Ok(on!(tx, |c| sqlx::query_as(OF_ACCOUNT).bind(account).bind(after).bind(limit).fetch_all(c).await)?)
}

/// Ends a membership or an invitation. The tokens of the account leave the fleet.
///
/// # Errors
/// Returns an error if there is none, or the database cannot be used.
pub async fn remove(tx: &mut Tx, fleet: Uuid, account: Uuid) -> Result<(), AccountError> {
    if !take(tx, fleet).await? {
        return Err(AccountError::NotFound);
    }
    let removed = on!(tx, |c| {
        sqlx::query(REMOVE).bind(fleet).bind(account).execute(c).await.map(|done| done.rows_affected())
    })
    .map_err(DbError::from)?;
    if removed == 0 {
        return Err(AccountError::NotFound);
    }
    Ok(leave_fleet(tx, fleet, account).await?)
}

/// Checks that a token may be charged to a fleet: its account is an active member, and stays one until the end of the
/// transaction.
pub(crate) async fn require(tx: &mut Tx, fleet: Uuid, account: Option<Uuid>) -> Result<(), AccountError> {
    let is_active = match account {
        Some(account) if take(tx, fleet).await? => {
            let member = find(tx, fleet, account).await?;
            member.is_some_and(|member| member.status == MemberStatus::Active)
        }
        _ => false,
    };
    match is_active {
        true => Ok(()),
        false => Err(AccountError::conflict("fleet_id", "the account is no active member of this fleet")),
    }
}
