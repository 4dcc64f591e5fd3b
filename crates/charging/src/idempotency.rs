//! Idempotency keys: a request that is repeated with its key gets the first answer again. The key is stored in the
//! transaction of the effect, so neither exists without the other. A repeat that comes while the first is at work waits
//! for it, because it needs the same row.

use std::time::Duration;

use serde_json::Value;
use sqlx::types::Json;

use crate::db::{At, DbError, Tx, on, row, statements};

statements! {
    RESERVE = "INSERT INTO idempotency_keys (caller, route, key, request, at) VALUES ($1, $2, $3, $4, $5) \
               ON CONFLICT (caller, route, key) DO UPDATE SET request = excluded.request, at = excluded.at, status = NULL, \
               headers = NULL, body = NULL WHERE idempotency_keys.at < $6";
    FIND = "SELECT request, status, headers, body FROM idempotency_keys WHERE caller = $1 AND route = $2 AND key = $3";
    ANSWER = "UPDATE idempotency_keys SET status = $4, headers = $5, body = $6 \
              WHERE caller = $1 AND route = $2 AND key = $3";
    ERASE = "DELETE FROM idempotency_keys WHERE caller = $1";
    PRUNE = "DELETE FROM idempotency_keys WHERE (caller, route, key) IN \
             (SELECT caller, route, key FROM idempotency_keys WHERE at < $1 ORDER BY at LIMIT $2)";
}

/// How long a key refers to the same request.
pub const KEPT: Duration = Duration::from_secs(24 * 3600);

/// A key as presented, with what distinguishes its uses.
#[derive(Debug, Clone)]
pub struct Key {
    /// The caller. Two callers may use the same key.
    pub caller: String,
    /// The route, such as `POST /api/v1/locations`.
    pub route: &'static str,
    /// The key.
    pub key: String,
    /// A digest of the request.
    pub request: Vec<u8>,
}

/// An answer to be repeated.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The status.
    pub status: i64,
    /// The headers, an object of texts.
    pub headers: Value,
    /// The body.
    pub body: String,
}

/// What is known about a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Known {
    /// It is new. [`answer`] must follow in the same transaction.
    New,
    /// The request was answered before.
    Answered(Answer),
    /// The key was used for another request.
    OfAnother,
}

row! {
    struct Stored {
        request: Vec<u8>,
        status: Option<i64>,
        headers: Option<Json<Value>>,
        body: Option<String>,
    }
}

/// Takes the key for this transaction, or returns what was answered before.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn reserve(tx: &mut Tx, key: &Key) -> Result<Known, DbError> {
    let now = At::now();
    let taken = on!(tx, |c| {
        let query = sqlx::query(RESERVE).bind(&key.caller).bind(key.route).bind(&key.key).bind(&key.request);
        query.bind(now).bind(now.minus(KEPT)).execute(c).await.map(|done| done.rows_affected())
    })?;
    if taken > 0 {
        return Ok(Known::New);
    }
    let stored: Stored = on!(tx, |c| {
        sqlx::query_as(FIND).bind(&key.caller).bind(key.route).bind(&key.key).fetch_one(c).await
    })?;
    Ok(match stored {
        Stored { request, status: Some(status), headers, body } if request == key.request => {
            let headers = headers.map_or(Value::Null, |headers| headers.0);
            Known::Answered(Answer { status, headers, body: body.unwrap_or_default() })
        }
        _ => Known::OfAnother,
    })
}

/// Stores the answer.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn answer(tx: &mut Tx, key: &Key, answer: &Answer) -> Result<(), DbError> {
    on!(tx, |c| {
        let query = sqlx::query(ANSWER).bind(&key.caller).bind(key.route).bind(&key.key).bind(answer.status);
        query.bind(Json(&answer.headers)).bind(&answer.body).execute(c).await.map(drop)
    })?;
    Ok(())
}

/// Deletes the keys of a caller, with the answers.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub(crate) async fn erase(tx: &mut Tx, caller: &str) -> Result<(), DbError> {
    on!(tx, |c| sqlx::query(ERASE).bind(caller).execute(c).await.map(drop))?;
    Ok(())
}

/// Deletes keys that are older than this moment, at most `limit`. Returns how many.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn prune(tx: &mut Tx, before: At, limit: i64) -> Result<u64, DbError> {
    Ok(on!(tx, |c| {
        sqlx::query(PRUNE).bind(before).bind(limit).execute(c).await.map(|done| done.rows_affected())
    })?)
}
