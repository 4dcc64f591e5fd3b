//! Sign-ins. Each is the family of its refresh tokens, of which one is current. A token that is used is rotated: its
//! successor is derived from it and from a key of the sign-in, so within the grace every repeat gets the same one. A repeat
//! after the grace means that two parties have the token, and ends the sign-in.

use std::time::Duration;

use common::role::RoleGrant;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::secret::{NoRandomness, Secret};
use super::{happened, mails, roles};
use crate::db::{At, DbError, Tx, on, row, statements, words};

statements! {
    INSERT = "INSERT INTO sign_ins (id, account_id, secret, client, authenticated_at, last_used_at, expires_at) \
              VALUES ($1, $2, $3, $4, $5, $5, $6)";
    INSERT_TOKEN = "INSERT INTO refresh_tokens (hash, sign_in_id, created_at) VALUES ($1, $2, $3)";
    ROTATE = "UPDATE refresh_tokens SET rotated_at = $2 WHERE hash = $1 AND rotated_at IS NULL";
    BY_TOKEN = "SELECT s.id, s.account_id, s.secret, s.ended_at, s.expires_at, t.rotated_at \
                FROM refresh_tokens t JOIN sign_ins s ON s.id = t.sign_in_id \
                JOIN accounts a ON a.id = s.account_id AND a.status = 'active' WHERE t.hash = $1";
    USED = "UPDATE sign_ins SET last_used_at = $2, expires_at = $3 WHERE id = $1";
    /// From then on it only waits for its deletion.
    END = "UPDATE sign_ins SET ended_at = $2, ended_because = $3, expires_at = $4 WHERE id = $1 AND ended_at IS NULL";
    LIVE = "SELECT id, client, authenticated_at, last_used_at, expires_at FROM sign_ins \
            WHERE account_id = $1 AND ended_at IS NULL AND expires_at > $2 ORDER BY id";
    FIND = "SELECT id, client, authenticated_at, last_used_at, expires_at FROM sign_ins \
            WHERE id = $1 AND account_id = $2 AND ended_at IS NULL AND expires_at > $3";
    ROLES = "SELECT r.role, l.location_id FROM sign_ins s \
             JOIN accounts a ON a.id = s.account_id AND a.status = 'active' \
             JOIN account_roles r ON r.account_id = a.id \
             LEFT JOIN role_locations l ON l.account_id = r.account_id AND l.role = r.role \
             WHERE s.id = $1 AND s.account_id = $2 AND s.ended_at IS NULL AND s.expires_at > $3";
    STORED = "SELECT id, client, authenticated_at, last_used_at, expires_at, ended_at, ended_because FROM sign_ins \
              WHERE account_id = $1 ORDER BY id";
    PRUNE = "DELETE FROM sign_ins WHERE id IN (SELECT id FROM sign_ins WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)";
    PRUNE_TOKENS = "DELETE FROM refresh_tokens WHERE hash IN \
                    (SELECT hash FROM refresh_tokens WHERE rotated_at < $1 ORDER BY rotated_at LIMIT $2)";
}

/// How long a sign-in lasts after its last use.
pub const LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long a sign-in that has ended is kept.
pub const ENDED_KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long a refresh token that was used is recognized when it comes again. After that it is unknown.
pub const USED_KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 3600);
/// The longest description of a client that is kept.
const MAX_CLIENT: usize = 200;

words! {
    /// Why a sign-in has ended.
    pub enum Ending {
        /// Its owner signed out, or ended it from another one.
        SignedOut = "signed_out",
        /// A refresh token was used again after the grace.
        Reused = "reused",
        /// The account was blocked.
        Blocked = "blocked",
        /// The password was changed.
        Password = "password",
    }
}

row! {
    /// A sign-in, as its owner sees it.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct SignIn {
        /// Its id, the `sid` of its access tokens.
        pub id: Uuid,
        /// What the client calls itself.
        pub client: Option<String>,
        /// When the password was last entered.
        pub authenticated_at: At,
        /// When it was last refreshed.
        pub last_used_at: At,
        /// When it ends, unless it is refreshed.
        pub expires_at: At,
    }
}

row! {
    /// A sign-in, as it is stored
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
    pub struct StoredSignIn {
        /// Its id
        pub id: Uuid,
        /// What the client called itself
        #[schema(required)]
        pub client: Option<String>,
        /// When the password was entered
        pub authenticated_at: At,
        /// When it was last refreshed
        pub last_used_at: At,
        /// When it ends; for one that has ended, when it is deleted
        pub expires_at: At,
        /// When it ended
        #[schema(required)]
        pub ended_at: Option<At>,
        /// Why it ended
        #[schema(required)]
        pub ended_because: Option<String>,
    }
}

row! {
    struct TokenRow {
        id: Uuid,
        account_id: Uuid,
        secret: Vec<u8>,
        ended_at: Option<At>,
        expires_at: At,
        rotated_at: Option<At>,
    }
}

/// A sign-in with its current refresh token.
#[derive(Debug, Clone)]
pub struct Issued {
    /// Whose it is.
    pub account_id: Uuid,
    /// The sign-in.
    pub sign_in_id: Uuid,
    /// The refresh token, for the client.
    pub refresh: Secret,
}

/// What became of a refresh token.
#[derive(Debug, Clone)]
pub enum Refreshed {
    /// Its successor.
    Issued(Issued),
    /// It is unknown, or its sign-in has ended.
    Refused,
    /// It was used before, and its sign-in has ended for that now.
    Reused {
        /// Whose it was.
        account_id: Uuid,
        /// The sign-in that has ended.
        sign_in_id: Uuid,
    },
}

/// Begins a sign-in. The transaction holds the row of the account from here on, so that what is read of it afterwards still
/// counts when the sign-in does: a block or a new password waits, and ends it, or was first.
///
/// # Errors
/// Returns an error if the database cannot be used, or there are no random bytes.
pub async fn begin(tx: &mut Tx, account: Uuid, client: Option<&str>) -> Result<Issued, DbError> {
    super::take(tx, account).await?;
    let (id, now) = (Uuid::now_v7(), At::now());
    let (secret, refresh) = (random()?, random()?);
    let client: Option<String> =
        client.map(|client| client.chars().filter(|one| !one.is_control()).take(MAX_CLIENT).collect());
    on!(tx, |c| {
        let query = sqlx::query(INSERT).bind(id).bind(account).bind(secret.bytes()).bind(client);
        query.bind(now).bind(now.plus(LIFETIME)).execute(c).await.map(drop)
    })?;
    add_token(tx, id, &refresh).await?;
    Ok(Issued { account_id: account, sign_in_id: id, refresh })
}

/// Rotates a refresh token. Within `grace` after that, a repeat gets the same successor. A refusal must be committed too.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn refresh(tx: &mut Tx, token: &Secret, grace: Duration) -> Result<Refreshed, DbError> {
    let (hash, now) = (token.hash(), At::now());
    // First: of many at once one rotates it, and the others wait here for its commit.
    let rotated = on!(tx, |c| {
        sqlx::query(ROTATE).bind(&hash).bind(now).execute(c).await.map(|done| done.rows_affected())
    })?;
    let found: Option<TokenRow> = on!(tx, |c| sqlx::query_as(BY_TOKEN).bind(&hash).fetch_optional(c).await)?;
    let Some(found) = found else { return Ok(Refreshed::Refused) };
    let (account_id, sign_in_id) = (found.account_id, found.id);
    if found.ended_at.is_some() || found.expires_at <= now {
        return Ok(Refreshed::Refused);
    }
    let refresh = token.successor(&found.secret);
    if rotated == 1 {
        add_token(tx, sign_in_id, &refresh).await?;
        on!(tx, |c| {
            sqlx::query(USED).bind(sign_in_id).bind(now).bind(now.plus(LIFETIME)).execute(c).await.map(drop)
        })?;
        return Ok(Refreshed::Issued(Issued { account_id, sign_in_id, refresh }));
    }
    if found.rotated_at.is_some_and(|at| at.plus(grace) >= now) {
        return Ok(Refreshed::Issued(Issued { account_id, sign_in_id, refresh }));
    }
    if end(tx, account_id, sign_in_id, Ending::Reused).await?
        && let Some(account) = super::find(tx, account_id).await?
    {
        mails::sign_in_reused(tx, &account, sign_in_id).await?;
    }
    Ok(Refreshed::Reused { account_id, sign_in_id })
}

/// Ends a sign-in: its refresh tokens and its access tokens at once. Returns whether it was live.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn end(tx: &mut Tx, account: Uuid, sign_in: Uuid, why: Ending) -> Result<bool, DbError> {
    // An event of an account is written while its row is held.
    super::take(tx, account).await?;
    let now = At::now();
    let ended = on!(tx, |c| {
        let query = sqlx::query(END).bind(sign_in).bind(now).bind(why).bind(now.plus(ENDED_KEPT_FOR));
        query.execute(c).await.map(|done| done.rows_affected())
    })?;
    if ended > 0 {
        happened(tx, "account.signed_out", account, Some(sign_in)).await?;
    }
    Ok(ended > 0)
}

/// Ends all sign-ins of an account, but for one.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn end_all(tx: &mut Tx, account: Uuid, keep: Option<Uuid>, why: Ending) -> Result<(), DbError> {
    for sign_in in live(tx, account).await? {
        if Some(sign_in.id) != keep {
            end(tx, account, sign_in.id, why).await?;
        }
    }
    Ok(())
}

/// The live sign-ins of an account, the oldest first.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn live(tx: &mut Tx, account: Uuid) -> Result<Vec<SignIn>, DbError> {
    Ok(on!(tx, |c| sqlx::query_as(LIVE).bind(account).bind(At::now()).fetch_all(c).await)?)
}

/// A live sign-in of an account.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn find(tx: &mut Tx, account: Uuid, sign_in: Uuid) -> Result<Option<SignIn>, DbError> {
    Ok(on!(tx, |c| sqlx::query_as(FIND).bind(sign_in).bind(account).bind(At::now()).fetch_optional(c).await)?)
}

/// All sign-ins of an account that are still stored, the oldest first.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn stored(tx: &mut Tx, account: Uuid) -> Result<Vec<StoredSignIn>, DbError> {
    Ok(on!(tx, |c| sqlx::query_as(STORED).bind(account).fetch_all(c).await)?)
}

/// The roles of an account at this moment; `None` if the sign-in has ended, or the account is blocked.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn roles(tx: &mut Tx, account: Uuid, sign_in: Uuid) -> Result<Option<Vec<RoleGrant>>, DbError> {
    let rows: Vec<(String, Option<Uuid>)> = on!(tx, |c| {
        sqlx::query_as(ROLES).bind(sign_in).bind(account).bind(At::now()).fetch_all(c).await
    })?;
    Ok(Some(roles::grants(rows)).filter(|grants| !grants.is_empty()))
}

/// Deletes sign-ins that expired before this moment, at most `limit`. Returns how many.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn prune(tx: &mut Tx, before: At, limit: i64) -> Result<u64, DbError> {
    Ok(on!(tx, |c| {
        sqlx::query(PRUNE).bind(before).bind(limit).execute(c).await.map(|done| done.rows_affected())
    })?)
}

/// Deletes refresh tokens that were used before this moment, at most `limit`. Returns how many.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn prune_tokens(tx: &mut Tx, before: At, limit: i64) -> Result<u64, DbError> {
    Ok(on!(tx, |c| {
        sqlx::query(PRUNE_TOKENS).bind(before).bind(limit).execute(c).await.map(|done| done.rows_affected())
    })?)
}

async fn add_token(tx: &mut Tx, sign_in: Uuid, token: &Secret) -> Result<(), DbError> {
    on!(tx, |c| {
        let query = sqlx::query(INSERT_TOKEN).bind(token.hash()).bind(sign_in).bind(At::now());
        query.execute(c).await.map(drop)
    })?;
    Ok(())
}

fn random() -> Result<Secret, DbError> {
    Secret::generate().map_err(|NoRandomness| DbError::Away)
}
