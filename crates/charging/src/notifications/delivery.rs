//! What the worker does with queued mails: it claims some, sends them, and records how that ended. A claim has an end, so the
//! mails of a worker that died are sent by another one.

use std::fmt;
use std::time::Duration;

use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use super::kinds::known_kinds;
use super::{Language, MailKind};
use crate::db::{At, DbError, Tx, on, row, statements};

statements! {
    /// Kinds that only a later version knows are left to it.
    DUE = concat!("SELECT id, attempts FROM mails WHERE state = 'queued' AND due_at <= $1 AND expires_at > $1 \
                   AND kind IN (", known_kinds!(), ") ORDER BY due_at, id LIMIT $2");
    /// Each attempt raises the number of attempts, so of many workers that read the same number one gets the mail.
    CLAIM = "UPDATE mails SET attempts = attempts + 1, due_at = $3 WHERE id = $1 AND attempts = $2 AND state = 'queued' \
             RETURNING id, kind, language, recipient, data, attempts, expires_at";
    /// Also after the claim has ended: the mail was sent.
    SENT = "UPDATE mails SET state = 'sent', recipient = NULL, data = NULL, finished_at = $2 WHERE id = $1 AND state = 'queued'";
    FAILED = "UPDATE mails SET state = 'failed', recipient = NULL, data = NULL, finished_at = $3 \
              WHERE id = $1 AND attempts = $2 AND state = 'queued'";
    PUT_OFF = "UPDATE mails SET due_at = $3 WHERE id = $1 AND attempts = $2 AND state = 'queued'";
    /// A mail that is claimed is not due.
    DROP_STALE = "UPDATE mails SET state = 'dropped', recipient = NULL, data = NULL, finished_at = $1 WHERE id IN \
                  (SELECT id FROM mails WHERE state = 'queued' AND expires_at <= $1 AND due_at <= $1 ORDER BY expires_at LIMIT $2) \
                  AND state = 'queued' AND due_at <= $1 RETURNING kind";
    OLDEST = "SELECT MIN(created_at) FROM mails WHERE state = 'queued'";
    PRUNE = "DELETE FROM mails WHERE id IN (SELECT id FROM mails WHERE finished_at < $1 ORDER BY finished_at LIMIT $2)";
}

/// How long a mail that is sent, failed or dropped is recognized.
pub const KEPT_FOR: Duration = Duration::from_secs(90 * 86_400);

/// The pause after the first attempt; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// One attempt to send a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The mail, also in its `Message-ID`, which is the same in each attempt.
    pub id: Uuid,
    /// The number of the attempt.
    pub attempt: i64,
    /// When the mail is of no use any more.
    pub expires_at: At,
}

/// A mail that is to be sent now. It is shown without what it holds of a person.
#[derive(Clone)]
pub struct ClaimedMail {
    /// The attempt.
    pub claim: Claim,
    /// Its kind.
    pub kind: MailKind,
    /// The language of the recipient.
    pub language: Language,
    /// The address of the recipient.
    pub to: String,
    /// What its template needs.
    pub data: Value,
}

row! {
    struct Stored {
        id: Uuid,
        kind: MailKind,
        language: String,
        recipient: String,
        data: Json<Value>,
        attempts: i64,
        expires_at: At,
    }
}

impl fmt::Debug for ClaimedMail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClaimedMail")
            .field("claim", &self.claim)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl From<Stored> for ClaimedMail {
    fn from(stored: Stored) -> Self {
        let Stored { id, kind, language, recipient, data, attempts, expires_at } = stored;
        Self {
            claim: Claim { id, attempt: attempts, expires_at },
            kind,
            // A language that only a later version knows is better than no mail.
            language: language.parse().unwrap_or(Language::En),
            to: recipient,
            data: data.0,
        }
    }
}

/// Claims mails that are due, at most `limit`, for this span. No other worker sends them meanwhile.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn claim(tx: &mut Tx, limit: i64, span: Duration) -> Result<Vec<ClaimedMail>, DbError> {
    let now = At::now();
    let mut due: Vec<(Uuid, i64)> =
        on!(tx, |c| sqlx::query_as(DUE).bind(now).bind(limit).fetch_all(c).await)?;
    // In the same order by every worker, so that no two wait for each other.
    due.sort_unstable();
    let mut claimed = Vec::new();
    for (id, attempts) in due {
        let mail: Option<Stored> = on!(tx, |c| {
            let query = sqlx::query_as(CLAIM).bind(id).bind(attempts);
            query.bind(now.plus(span)).fetch_optional(c).await
        })?;
        claimed.extend(mail.map(ClaimedMail::from));
    }
    Ok(claimed)
}

/// Records that a mail was sent. Its address and its data are deleted.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn sent(tx: &mut Tx, claim: Claim) -> Result<(), DbError> {
    on!(tx, |c| sqlx::query(SENT).bind(claim.id).bind(At::now()).execute(c).await.map(drop))?;
    Ok(())
}

/// Records that a mail can never be sent, unless the claim has passed on. Its address and its data are deleted.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn failed(tx: &mut Tx, claim: Claim) -> Result<(), DbError> {
    on!(tx, |c| {
        let query = sqlx::query(FAILED).bind(claim.id).bind(claim.attempt).bind(At::now());
        query.execute(c).await.map(drop)
    })?;
    Ok(())
}

/// Puts a mail off until the pause after this attempt is over, unless the claim has passed on.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn put_off(tx: &mut Tx, claim: Claim) -> Result<(), DbError> {
    // Once it has expired it is dropped at once.
    let due = At::now().plus(pause_after(claim.attempt)).min(claim.expires_at);
    on!(tx, |c| {
        sqlx::query(PUT_OFF).bind(claim.id).bind(claim.attempt).bind(due).execute(c).await.map(drop)
    })?;
    Ok(())
}

/// Drops mails that have expired, at most `limit`. Returns the kind of each, which may be one of a later version.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn drop_stale(tx: &mut Tx, limit: i64) -> Result<Vec<String>, DbError> {
    let dropped: Vec<(String,)> =
        on!(tx, |c| sqlx::query_as(DROP_STALE).bind(At::now()).bind(limit).fetch_all(c).await)?;
    Ok(dropped.into_iter().map(|(kind,)| kind).collect())
}

/// When the oldest mail was queued that is not sent.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn oldest(tx: &mut Tx) -> Result<Option<At>, DbError> {
    let (oldest,): (Option<At>,) = on!(tx, |c| sqlx::query_as(OLDEST).fetch_one(c).await)?;
    Ok(oldest)
}

/// Deletes mails that were sent, failed or dropped before this moment, at most `limit`. Returns how many.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn prune(tx: &mut Tx, before: At, limit: i64) -> Result<u64, DbError> {
    Ok(on!(tx, |c| {
        sqlx::query(PRUNE).bind(before).bind(limit).execute(c).await.map(|done| done.rows_affected())
    })?)
}

/// The pause after this attempt, the first being 1.
fn pause_after(attempt: i64) -> Duration {
    let doublings = u32::try_from(attempt.saturating_sub(1)).unwrap_or(u32::MAX).min(16);
    FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_ten_minutes() {
        let pauses = [1, 2, 3, 9, 10, 100, i64::MAX].map(|attempt| pause_after(attempt).as_secs());
        assert_eq!(pauses, [2, 4, 8, 512, 600, 600, 600]);
    }
}
