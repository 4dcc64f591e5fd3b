//! Which tokens are members of the platform: those that acl-service admits at every public station.

use std::collections::HashMap;

use common::ids::DriverToken;
use uuid::Uuid;

use super::{TokenStatus, unreadable};
use crate::core_sync::{self, Subject};
use crate::db::{At, DbError, Tx, on, row, statements};

statements! {
    AMONG = "SELECT id, driver_token, expires_at FROM tokens WHERE driver_token IN \
             ($3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22) \
             AND status = $1 AND NOT owner_blocked AND (expires_at IS NULL OR expires_at > $2)";
    AFTER = "SELECT id, driver_token, expires_at FROM tokens WHERE id > $3 \
             AND status = $1 AND NOT owner_blocked AND (expires_at IS NULL OR expires_at > $2) ORDER BY id LIMIT $4";
    IDS = "SELECT id, driver_token FROM tokens WHERE driver_token IN \
           ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)";
    OF_ACCOUNT = "SELECT driver_token FROM tokens WHERE account_id = $1";
}

/// The tokens of one question of `AMONG` and `IDS`.
const AT_ONCE: usize = 20;

/// A member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The token's id.
    pub id: Uuid,
    /// Its name in the core.
    pub driver_token: DriverToken,
    /// When it expires.
    pub until: Option<At>,
}

row! {
    struct Stored {
        id: Uuid,
        driver_token: String,
        expires_at: Option<At>,
    }
}

impl TryFrom<Stored> for Member {
    type Error = DbError;

    fn try_from(stored: Stored) -> Result<Self, DbError> {
        let driver_token = parse(&stored.driver_token)?;
        Ok(Self { id: stored.id, driver_token, until: stored.expires_at })
    }
}

/// Those of these tokens that are members at present.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn among(tx: &mut Tx, tokens: &[DriverToken]) -> Result<Vec<Member>, DbError> {
    let mut members = Vec::new();
    for some in tokens.chunks(AT_ONCE) {
        let texts = texts(some);
        let found: Vec<Stored> = on!(tx, |c| {
            let query = sqlx::query_as(AMONG).bind(TokenStatus::Active).bind(At::now());
            texts.fold(query, sqlx::query::QueryAs::bind).fetch_all(c).await
        })?;
        for stored in found {
            members.push(Member::try_from(stored)?);
        }
    }
    Ok(members)
}

/// The ids of those of these tokens that are the platform's, members or not.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn ids_of(tx: &mut Tx, tokens: &[DriverToken]) -> Result<HashMap<DriverToken, Uuid>, DbError> {
    let mut ids = HashMap::new();
    for some in tokens.chunks(AT_ONCE) {
        let texts = texts(some);
        let found: Vec<(Uuid, String)> = on!(tx, |c| {
            let query = sqlx::query_as(IDS);
            texts.fold(query, sqlx::query::QueryAs::bind).fetch_all(c).await
        })?;
        for (id, text) in found {
            ids.insert(parse(&text)?, id);
        }
    }
    Ok(ids)
}

/// The members after this id of a token, by id.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn after(tx: &mut Tx, after: Uuid, limit: i64) -> Result<Vec<Member>, DbError> {
    let found: Vec<Stored> = on!(tx, |c| {
        let query = sqlx::query_as(AFTER).bind(TokenStatus::Active).bind(At::now());
        query.bind(after).bind(limit).fetch_all(c).await
    })?;
    found.into_iter().map(Member::try_from).collect()
}

/// The tokens of an account, members or not.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn of_account(tx: &mut Tx, account: Uuid) -> Result<Vec<DriverToken>, DbError> {
    let found: Vec<(String,)> = on!(tx, |c| sqlx::query_as(OF_ACCOUNT).bind(account).fetch_all(c).await)?;
    found.iter().map(|(text,)| parse(text)).collect()
}

/// Notes that the tokens of an account will be gone, before it is erased.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn erase(tx: &mut Tx, account: Uuid, actor: Option<&str>) -> Result<(), DbError> {
    for token in of_account(tx, account).await? {
        core_sync::note(tx, Subject::Token(&token), actor).await?;
    }
    Ok(())
}

/// The tokens as texts, filled up with what is no token.
fn texts(tokens: &[DriverToken]) -> impl Iterator<Item = &str> {
    tokens.iter().map(DriverToken::expose).chain(std::iter::repeat("")).take(AT_ONCE)
}

fn parse(text: &str) -> Result<DriverToken, DbError> {
    DriverToken::parse(text).map_err(|_| unreadable("driver_token"))
}
