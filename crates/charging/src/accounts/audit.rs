//! The audit trail of the platform: what people and keys did to others, and why.

use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::db::{At, DbError, Tx, on, row, statements};

statements! {
    INSERT = "INSERT INTO audit (id, at, actor, action, subject, subject_id, reason, data) \
              VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    LIST = "SELECT id, at, actor, action, subject, subject_id, reason, data FROM audit \
            WHERE id < $1 ORDER BY id DESC LIMIT $2";
    OF = "SELECT id, at, actor, action, subject, subject_id, reason, data FROM audit \
          WHERE id < $1 AND subject_id = $3 ORDER BY id DESC LIMIT $2";
}

/// What was done. It carries ids only.
#[derive(Debug, Clone)]
pub struct Act<'a> {
    /// Who did it: `account:<id>`, `key:<id>`, or a part of Voltgate.
    pub actor: &'a str,
    /// What was done, such as `account.blocked`.
    pub action: &'static str,
    /// What it was done to, such as `account`.
    pub subject: &'static str,
    /// Its id.
    pub subject_id: Uuid,
    /// Why, in the words of who did it.
    pub reason: Option<&'a str>,
    /// What else is to be known: an object.
    pub data: Value,
}

row! {
    /// An entry of the audit trail.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Entry {
        /// Its id, by which entries are ordered.
        pub id: Uuid,
        /// When it was done.
        pub at: At,
        /// Who did it.
        pub actor: String,
        /// What was done.
        pub action: String,
        /// What it was done to.
        pub subject: String,
        /// Its id.
        pub subject_id: Uuid,
        /// Why.
        pub reason: Option<String>,
        /// What else is to be known.
        pub data: Json<Value>,
    }
}

/// Writes an entry, in the transaction of what was done.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn write(tx: &mut Tx, act: &Act<'_>) -> Result<(), DbError> {
    on!(tx, |c| {
        let query = sqlx::query(INSERT).bind(Uuid::now_v7()).bind(At::now()).bind(act.actor).bind(act.action);
        let query = query.bind(act.subject).bind(act.subject_id).bind(act.reason).bind(Json(&act.data));
        query.execute(c).await.map(drop)
    })?;
    Ok(())
}

/// The entries before this id, the newest first: all of them, or those about one subject.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn list(
    tx: &mut Tx,
    subject: Option<Uuid>,
    before: Uuid,
    limit: i64,
) -> Result<Vec<Entry>, DbError> {
    Ok(match subject {
        Some(subject) => {
            on!(tx, |c| sqlx::query_as(OF).bind(before).bind(limit).bind(subject).fetch_all(c).await)
        }
        None => on!(tx, |c| sqlx::query_as(LIST).bind(before).bind(limit).fetch_all(c).await),
    }?)
}
