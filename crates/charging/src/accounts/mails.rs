//! The mails about accounts, each queued in the transaction of its cause. An account without a verified address gets none,
//! except for the one that verifies an address.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::codes::Purpose;
use super::{Account, Email, Secret};
use crate::db::{At, DbError, Tx};
use crate::notifications::{self, MailKind, NewMail};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long a notice is of use.
const NOTICE: Duration = Duration::from_secs(7 * 24 * 3600);

/// The code that proves an address.
pub(super) async fn verify_email(
    tx: &mut Tx,
    account: &Account,
    to: &Email,
    code: &Secret,
) -> Result<(), DbError> {
    let data = with_code(account, code);
    let expires = Purpose::VerifyEmail.lifetime();
    queue(tx, account, to.as_str(), Mail { kind: MailKind::VerifyEmail, cause: a_new_one(), expires, data })
        .await
}

/// The code by which a new password is chosen.
pub(super) async fn reset_password(tx: &mut Tx, account: &Account, code: &Secret) -> Result<(), DbError> {
    let data = with_code(account, code);
    let expires = Purpose::ResetPassword.lifetime();
    notice(tx, account, Mail { kind: MailKind::ResetPassword, cause: a_new_one(), expires, data }).await
}

/// The notice that someone entered this account's address for another one: one a day, however often it is entered.
pub(super) async fn email_taken(tx: &mut Tx, owner: &Account) -> Result<(), DbError> {
    let day = At::now().millis() / 86_400_000;
    let (cause, data) = (format!("{}/{day}", owner.id), named(owner));
    notice(tx, owner, Mail { kind: MailKind::EmailTaken, cause, expires: DAY, data }).await
}

/// The notice that a refresh token was used twice.
pub(super) async fn sign_in_reused(tx: &mut Tx, account: &Account, sign_in: Uuid) -> Result<(), DbError> {
    let (cause, data) = (sign_in.to_string(), named(account));
    notice(tx, account, Mail { kind: MailKind::SignInReused, cause, expires: NOTICE, data }).await
}

/// The notice that the password was changed.
pub(super) async fn password_changed(tx: &mut Tx, account: &Account) -> Result<(), DbError> {
    let data = named(account);
    let mail = Mail { kind: MailKind::PasswordChanged, cause: a_new_one(), expires: NOTICE, data };
    notice(tx, account, mail).await
}

/// The notice that the account was erased. It is the only mail that outlives the account.
pub(super) async fn account_erased(tx: &mut Tx, account: &Account) -> Result<(), DbError> {
    let (cause, data) = (account.id.to_string(), named(account));
    notice(tx, account, Mail { kind: MailKind::AccountErased, cause, expires: NOTICE, data }).await
}

struct Mail {
    kind: MailKind,
    /// An id: a second mail of this kind for the same cause is not queued.
    cause: String,
    expires: Duration,
    data: Value,
}

async fn notice(tx: &mut Tx, account: &Account, mail: Mail) -> Result<(), DbError> {
    match &account.email {
        Some(to) => queue(tx, account, to, mail).await,
        None => Ok(()),
    }
}

async fn queue(tx: &mut Tx, account: &Account, to: &str, mail: Mail) -> Result<(), DbError> {
    let Mail { kind, cause, expires, data } = mail;
    let (account_id, language) = (Some(account.id), account.language);
    notifications::queue(tx, &NewMail { kind, account_id, to, language, dedupe: cause, expires, data }).await
}

fn a_new_one() -> String {
    Uuid::now_v7().to_string()
}

fn named(account: &Account) -> Value {
    json!({"username": account.username})
}

fn with_code(account: &Account, code: &Secret) -> Value {
    json!({"username": account.username, "code": code.reveal()})
}
