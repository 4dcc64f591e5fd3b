//! What only one transaction about accounts may do at a time.

use crate::db::{DbError, Tx, on, statements, words};

statements! {
    HOLD = "UPDATE account_locks SET name = name WHERE name = $1";
}

words! {
    /// A lock.
    pub enum Lock {
        /// The list of administrators, of which one stays.
        Administrators = "administrators",
        /// The first key of access tokens.
        SigningKeys = "signing_keys",
    }
}

/// Holds the lock until the end of the transaction. It comes before the row of any account, so that no two transactions
/// wait for each other.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn hold(tx: &mut Tx, lock: Lock) -> Result<(), DbError> {
    Ok(on!(tx, |c| sqlx::query(HOLD).bind(lock).execute(c).await.map(drop))?)
}
