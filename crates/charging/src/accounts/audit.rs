//! The audit trail of the platform: what people and keys did to others, and why.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

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
    ERASE_REASONS = "UPDATE audit SET reason = NULL WHERE subject_id = $1 AND reason IS NOT NULL";
    PRUNE = "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < $1 ORDER BY at LIMIT $2)";
}

/// How long entries are kept.
pub const KEPT_FOR: Duration = Duration::from_secs(3 * 365 * 86_400);

/// Which entries a list contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subjects {
    /// All of them.
    All,
    /// Those about these.
    These(BTreeSet<Uuid>),
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

/// The entries before this id, the newest first.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn list(tx: &mut Tx, subjects: &Subjects, before: Uuid, limit: i64) -> Result<Vec<Entry>, DbError> {
    let Subjects::These(ids) = subjects else {
        return Ok(on!(tx, |c| sqlx::query_as(LIST).bind(before).bind(limit).fetch_all(c).await)?);
    };
    let mut found: Vec<Entry> = Vec::new();
    for id in ids {
        let of: Vec<Entry> =
            on!(tx, |c| sqlx::query_as(OF).bind(before).bind(limit).bind(*id).fetch_all(c).await)?;
        found.extend(of);
    }
    found.sort_unstable_by_key(|entry| Reverse(entry.id));
    found.truncate(usize::try_from(limit).unwrap_or_default());
    Ok(found)
}

/// Deletes the reasons of what was done to an account: they are in the words of people, who may have written names.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub(crate) async fn erase_reasons(tx: &mut Tx, subject: Uuid) -> Result<(), DbError> {
    on!(tx, |c| sqlx::query(ERASE_REASONS).bind(subject).execute(c).await.map(drop))?;
    Ok(())
}

/// Deletes entries that are older than this moment, at most `limit`. Returns how many.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn prune(tx: &mut Tx, before: At, limit: i64) -> Result<u64, DbError> {
    Ok(on!(tx, |c| {
        sqlx::query(PRUNE).bind(before).bind(limit).execute(c).await.map(|done| done.rows_affected())
    })?)
}
