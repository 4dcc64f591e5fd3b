//! Codes that are sent by mail: they prove that an address is the sender's own, or that a password may be set anew. A code
//! works once.

use std::time::Duration;

use uuid::Uuid;

use super::{Email, Secret};
use crate::db::{At, DbError, Tx, on, statements, words};

statements! {
    INSERT = "INSERT INTO account_codes (hash, account_id, purpose, email, expires_at) VALUES ($1, $2, $3, $4, $5)";
    REMOVE_OTHERS = "DELETE FROM account_codes WHERE account_id = $1 AND purpose = $2";
    TAKE = "DELETE FROM account_codes WHERE hash = $1 AND purpose = $2 AND expires_at > $3 RETURNING account_id, email";
    PENDING = "SELECT email FROM account_codes WHERE account_id = $1 AND purpose = $2 AND expires_at > $3 LIMIT 1";
    PRUNE = "DELETE FROM account_codes WHERE hash IN \
             (SELECT hash FROM account_codes WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)";
}

words! {
    /// What a code is for.
    pub enum Purpose {
        /// To verify an address.
        VerifyEmail = "verify_email",
        /// To set a new password.
        ResetPassword = "reset_password",
    }
}

impl Purpose {
    /// How long a code works.
    pub const fn lifetime(self) -> Duration {
        match self {
            Self::VerifyEmail => Duration::from_secs(48 * 3600),
            Self::ResetPassword => Duration::from_secs(3600),
        }
    }
}

/// How long another code for the same is not sent: a mailbox must not be filled.
const PAUSE: Duration = Duration::from_secs(60);

/// Creates a code, in the place of earlier ones for the same purpose.
///
/// # Errors
/// Returns an error if the database cannot be used, or there are no random bytes.
pub async fn create(tx: &mut Tx, account: Uuid, purpose: Purpose, email: &Email) -> Result<Secret, DbError> {
    let code = Secret::generate().map_err(|_| DbError::Away)?;
    cancel(tx, account, purpose).await?;
    on!(tx, |c| {
        let query = sqlx::query(INSERT).bind(code.hash()).bind(account).bind(purpose).bind(email.as_str());
        query.bind(At::now().plus(purpose.lifetime())).execute(c).await.map(drop)
    })?;
    Ok(code)
}

/// Uses a code up. Returns its account and the address that it was sent to; `None` if it is unknown, used or too old.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn take(tx: &mut Tx, code: &Secret, purpose: Purpose) -> Result<Option<(Uuid, Email)>, DbError> {
    let taken: Option<(Uuid, String)> = on!(tx, |c| {
        sqlx::query_as(TAKE).bind(code.hash()).bind(purpose).bind(At::now()).fetch_optional(c).await
    })?;
    Ok(taken.and_then(|(account, email)| Some((account, email.parse().ok()?))))
}

/// The address that a code for this purpose was sent to.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn pending(tx: &mut Tx, account: Uuid, purpose: Purpose) -> Result<Option<String>, DbError> {
    let found: Option<(String,)> = on!(tx, |c| {
        sqlx::query_as(PENDING).bind(account).bind(purpose).bind(At::now()).fetch_optional(c).await
    })?;
    Ok(found.map(|(email,)| email))
}

/// Whether a code for this purpose was sent to this address a moment ago.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub(super) async fn is_recent(
    tx: &mut Tx,
    account: Uuid,
    purpose: Purpose,
    email: &Email,
) -> Result<bool, DbError> {
    let ends_after = At::now().plus(purpose.lifetime()).minus(PAUSE);
    let found: Option<(String,)> = on!(tx, |c| {
        sqlx::query_as(PENDING).bind(account).bind(purpose).bind(ends_after).fetch_optional(c).await
    })?;
    Ok(found.is_some_and(|(sent_to,)| super::names::key(&sent_to) == email.key()))
}

/// Deletes the codes of an account for this purpose.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn cancel(tx: &mut Tx, account: Uuid, purpose: Purpose) -> Result<(), DbError> {
    if purpose == Purpose::VerifyEmail {
        // The owner sees the address that is to be verified as a part of the account.
        super::changed(tx, account).await?;
    }
    on!(tx, |c| sqlx::query(REMOVE_OTHERS).bind(account).bind(purpose).execute(c).await.map(drop))?;
    Ok(())
}

/// Deletes codes that expired before this moment, at most `limit`. Returns how many.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn prune(tx: &mut Tx, before: At, limit: i64) -> Result<u64, DbError> {
    Ok(on!(tx, |c| {
        sqlx::query(PRUNE).bind(before).bind(limit).execute(c).await.map(|done| done.rows_affected())
    })?)
}
