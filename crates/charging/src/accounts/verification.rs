//! What a code from a mail allows: to make an address one's own, and to choose a new password. Requests are answered alike
//! whether an address is known or not; what there is to say goes by mail to the owner of the address.

use uuid::Uuid;

use super::codes::{self, Purpose};
use super::{Account, AccountError, AccountStatus, Email, PasswordHash, Secret, by_email, find, mails};
use crate::db::{DbError, Tx};

/// Sends a code to an address that the owner of the account has entered. If the address belongs to another account, its
/// owner gets a notice instead. A repeat within a minute does nothing.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn request_verification(tx: &mut Tx, account: &Account, email: &Email) -> Result<(), DbError> {
    if codes::is_recent(tx, account.id, Purpose::VerifyEmail, email).await? {
        return Ok(());
    }
    // Also for an address that belongs to another account: `email_pending` must look the same.
    let code = codes::create(tx, account.id, Purpose::VerifyEmail, email).await?;
    match by_email(tx, email).await? {
        Some(owner) if owner.id != account.id => mails::email_taken(tx, &owner).await,
        _ => mails::verify_email(tx, account, email, &code).await,
    }
}

/// Makes the address of a code that of its account. Returns the account; `None` if the code is unknown, used or too old, or
/// another account has the address by now.
///
/// # Errors
/// Returns an error if another account verifies the address at this moment, or the database cannot be used.
pub async fn verify(tx: &mut Tx, code: &Secret) -> Result<Option<Uuid>, AccountError> {
    let Some((account, email)) = codes::take(tx, code, Purpose::VerifyEmail).await? else { return Ok(None) };
    if by_email(tx, &email).await?.is_some_and(|owner| owner.id != account) {
        return Ok(None);
    }
    super::set_email(tx, account, Some(&email)).await?;
    Ok(Some(account))
}

/// Sends a code by which a new password is chosen, if an account that may be used has this address. A repeat within a minute
/// does nothing.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn request_reset(tx: &mut Tx, email: &Email) -> Result<(), DbError> {
    let account = by_email(tx, email).await?.filter(Account::is_active);
    let Some(account) = account else { return Ok(()) };
    if codes::is_recent(tx, account.id, Purpose::ResetPassword, email).await? {
        return Ok(());
    }
    let code = codes::create(tx, account.id, Purpose::ResetPassword, email).await?;
    mails::reset_password(tx, &account, &code).await
}

/// Sets the password by a code, and ends all sign-ins. Returns the account; `None` if the code is unknown, used or too old,
/// or the account may not be used.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn reset(tx: &mut Tx, code: &Secret, password: &PasswordHash) -> Result<Option<Uuid>, DbError> {
    let Some((account, email)) = codes::take(tx, code, Purpose::ResetPassword).await? else {
        return Ok(None);
    };
    let found = find(tx, account).await?.filter(|found| found.status == AccountStatus::Active);
    // The address may have passed to another account since.
    let found =
        found.filter(|found| found.email.as_deref().is_some_and(|own| super::names::key(own) == email.key()));
    if found.is_none() {
        return Ok(None);
    }
    super::set_password(tx, account, password, None).await?;
    Ok(Some(account))
}
