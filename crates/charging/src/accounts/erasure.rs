//! The erasure of an account: what law does not keep goes in one transaction, and the id is recorded, so that a restored
//! backup can be cleaned of it again.

use common::role::Role;
use serde_json::json;
use uuid::Uuid;

use super::audit::{self, Act};
use super::locks::{self, Lock};
use super::{Account, AccountError, happened, mails, roles};
use crate::db::{At, DbError, Tx, on, row, statements};
use crate::stations::Refused;
use crate::{fleets, idempotency, notifications, sessions, tokens};

statements! {
    DELETE = "DELETE FROM accounts WHERE id = $1";
    RECORD = "INSERT INTO erasures (account_id, at) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    LIST = "SELECT account_id, at FROM erasures WHERE account_id > $1 ORDER BY account_id LIMIT $2";
}

/// The documents that are kept, as law requires.
pub const KEPT: &[&str] = &["invoices", "cdrs"];

row! {
    /// An account that was erased.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Erasure {
        /// Its id.
        pub account_id: Uuid,
        /// When it was erased.
        pub at: At,
    }
}

/// Erases an account. Its name is free again. The owner gets a last mail.
///
/// # Errors
/// Returns an error if there is no such account, something of it is open, it is the last administrator, or the database
/// cannot be used.
pub async fn erase(tx: &mut Tx, id: Uuid, actor: &str, reason: Option<&str>) -> Result<(), AccountError> {
    locks::hold(tx, Lock::Administrators).await?;
    if !super::take(tx, id).await? {
        return Err(AccountError::NotFound);
    }
    let account = super::find(tx, id).await?.ok_or(AccountError::NotFound)?;
    if let Some(open) = open_matter(tx, id).await? {
        return Err(AccountError::Conflict(open));
    }
    let was_admin = roles::of(tx, id).await?.iter().any(|grant| grant.role == Role::Admin);
    carry_out(tx, &account, actor, reason).await?;
    match was_admin && account.is_active() {
        true => roles::keep_one_admin(tx, "roles").await,
        false => Ok(()),
    }
}

/// Erases an account that a restored backup has brought back. Returns whether it was there.
///
/// # Errors
/// Returns an error if something of it is open, it is the last administrator, or the database cannot be used.
pub async fn erase_again(tx: &mut Tx, id: Uuid, actor: &str) -> Result<bool, AccountError> {
    record(tx, id).await?;
    match erase(tx, id, actor, Some("erased again after a restore")).await {
        Ok(()) => Ok(true),
        Err(AccountError::NotFound) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The accounts that were erased, by id, after this one.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn list(tx: &mut Tx, after: Uuid, limit: i64) -> Result<Vec<Erasure>, DbError> {
    Ok(on!(tx, |c| sqlx::query_as(LIST).bind(after).bind(limit).fetch_all(c).await)?)
}

/// What has to be settled before the account can be erased, by the field that names it. A module that holds something of
/// that kind adds it here: `session`, `reservation`, `invoice`, `dispute`.
async fn open_matter(tx: &mut Tx, account: Uuid) -> Result<Option<Refused>, DbError> {
    let pays_for = fleets::list(tx, Some(account), Uuid::nil(), 1).await?;
    if !pays_for.is_empty() {
        return Ok(Some(Refused::new("fleet", "the account pays for a fleet: name another payer first")));
    }
    let charges = sessions::personal::is_open(tx, account).await?;
    Ok(charges.then(|| Refused::new("session", "a charging session of the account goes on: end it first")))
}

async fn carry_out(tx: &mut Tx, account: &Account, actor: &str, reason: Option<&str>) -> Result<(), DbError> {
    let id = account.id;
    sessions::personal::erase(tx, id).await?;
    tokens::erase(tx, id, Some(actor)).await?;
    notifications::erase(tx, id).await?;
    // Answers that wait to be repeated hold what was sent.
    idempotency::erase(tx, &format!("account:{id}")).await?;
    audit::erase_reasons(tx, id).await?;
    happened(tx, "account.erased", id, None).await?;
    // Roles, sign-ins, codes, vehicles, tokens and memberships go with it.
    on!(tx, |c| sqlx::query(DELETE).bind(id).execute(c).await.map(drop))?;
    record(tx, id).await?;
    let act =
        Act { actor, action: "account.erased", subject: "account", subject_id: id, reason, data: json!({}) };
    audit::write(tx, &act).await?;
    mails::account_erased(tx, account).await
}

async fn record(tx: &mut Tx, id: Uuid) -> Result<(), DbError> {
    on!(tx, |c| sqlx::query(RECORD).bind(id).bind(At::now()).execute(c).await.map(drop))?;
    Ok(())
}
