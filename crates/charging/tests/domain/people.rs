//! Accounts for the tests, and what a refusal says.

use charging::accounts::{self, Account, AccountError, Language, NewAccount, PasswordHash};
use charging::{At, Db, DbError, Tx};
use uuid::Uuid;

use crate::databases::on;

/// A new account. It has no password that anyone could enter, because hashing one takes long.
pub(crate) fn draft(name: &str) -> NewAccount {
    let password = PasswordHash::of_no_account();
    NewAccount { username: name.parse().unwrap(), password, language: Language::En, terms: None }
}

pub(crate) async fn try_register(db: &Db, name: &str) -> Result<Account, AccountError> {
    let draft = draft(name);
    db.write(async |tx| accounts::create(tx, &draft).await).await
}

pub(crate) async fn register(db: &Db, name: &str) -> Account {
    try_register(db, name).await.unwrap()
}

pub(crate) async fn find(db: &Db, id: Uuid) -> Option<Account> {
    db.read(async |tx| accounts::find(tx, id).await).await.unwrap()
}

/// The account as it is now.
pub(crate) async fn read(db: &Db, id: Uuid) -> Account {
    find(db, id).await.unwrap()
}

/// Runs a statement that binds one id and one moment.
pub(crate) async fn set(tx: &mut Tx, statement: &'static str, id: Uuid, at: At) -> Result<(), DbError> {
    on!(tx, |c| sqlx::query(statement).bind(id).bind(at).execute(c).await.map(drop))?;
    Ok(())
}

/// The field of a conflict.
pub(crate) fn conflict<T: std::fmt::Debug>(done: Result<T, AccountError>) -> String {
    match done {
        Err(AccountError::Conflict(refused)) => refused.field.into_owned(),
        other => panic!("expected a conflict, not {other:?}"),
    }
}

/// The field of a refusal.
pub(crate) fn refused<T: std::fmt::Debug>(done: Result<T, AccountError>) -> String {
    match done {
        Err(AccountError::Refused(refused)) => refused.field.into_owned(),
        other => panic!("expected a refusal, not {other:?}"),
    }
}
