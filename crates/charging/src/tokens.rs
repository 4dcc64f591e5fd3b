//! Tokens: what drivers show to be let in. Each has three names, which are never mixed up.

pub(crate) mod personal;

use uuid::Uuid;

pub use self::personal::StoredToken;
pub(crate) use self::personal::{erase, stored};
use crate::db::{DbError, Tx};

/// Notes that the tokens of an account may count differently now, as the account was blocked or unblocked.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub(crate) async fn changed_account(_tx: &mut Tx, _account: Uuid) -> Result<(), DbError> {
    Ok(())
}
