//! What the tokens are about a person: for the export of an account.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::db::{At, DbError, Tx, on, row, statements};

statements! {
    STORED = "SELECT id, type AS kind, uid, driver_token, id_tag, status, whitelist, expires_at, created_at, updated_at FROM tokens \
              WHERE account_id = $1 ORDER BY id";
}

row! {
    /// A token, as it is stored
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
    pub struct StoredToken {
        /// Its id
        pub id: Uuid,
        /// What kind of token it is
        #[serde(rename = "type")]
        pub kind: String,
        /// Its name for other operators
        pub uid: String,
        /// Its name for access lists
        pub driver_token: String,
        /// Its name for chargers
        #[schema(required)]
        pub id_tag: Option<String>,
        /// Whether it may be used
        pub status: String,
        /// Whether it is accepted without asking
        pub whitelist: String,
        /// When it ends
        #[schema(required)]
        pub expires_at: Option<At>,
        /// When it was created
        pub created_at: At,
        /// When it was last changed
        pub updated_at: At,
    }
}

/// The tokens of an account, as they are stored, for its owner.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub(crate) async fn stored(tx: &mut Tx, account: Uuid) -> Result<Vec<StoredToken>, DbError> {
    Ok(on!(tx, |c| sqlx::query_as(STORED).bind(account).fetch_all(c).await)?)
}
