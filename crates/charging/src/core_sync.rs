//! What acl-service has to learn of the platform: which stations are public, and which tokens are members. A transaction
//! that may alter either writes a row here. A row says only that the state may have changed; the state is read when it is
//! sent, so the order of the rows does not matter, and each may be sent again.

use std::collections::HashMap;

use common::ids::DriverToken;
use uuid::Uuid;

use crate::db::{DbError, Tx, on, row, statements, words};
use crate::stations::charging_stations::public;
use crate::tokens::members::{self, Member};

statements! {
    NOTE = "INSERT INTO core_changes (kind, key, actor) VALUES ($1, $2, $3)";
    ATTRIBUTE = "UPDATE core_changes SET actor = $3 WHERE kind = $1 AND key = $2 AND actor IS NULL";
    PENDING = "SELECT id, kind, key, actor FROM core_changes ORDER BY id LIMIT $1";
    COUNT = "SELECT COUNT(*) FROM core_changes";
    DELETE = "DELETE FROM core_changes WHERE id IN \
              ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)";
    VERSION = "SELECT version FROM core_state";
    SET_VERSION = "UPDATE core_state SET version = $2 WHERE version = $1";
}

/// The rows that one `DELETE` removes.
const AT_ONCE: usize = 20;

words! {
    /// What a row is about.
    pub enum Kind {
        /// A station, by its id.
        Station = "station",
        /// A token, by its driver token: its row may be gone.
        Token = "token",
        /// All tokens of an account, by the account's id.
        Account = "account",
    }
}

/// What a change is about.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// A station was created or deleted, or admits others now.
    Station(Uuid),
    /// A token was created, changed or deleted.
    Token(&'a DriverToken),
    /// An account was blocked or unblocked, with all of its tokens.
    Account(Uuid),
}

/// Changes to be sent, with the present state of what they are about.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The number of the last changes that acl-service has.
    pub version: i64,
    /// The rows that this batch sends.
    rows: Vec<i64>,
    /// The changes, by who made them.
    pub by_actor: HashMap<Option<String>, States>,
}

/// States of stations and tokens.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct States {
    /// Stations that are public.
    pub public: Vec<Uuid>,
    /// Stations that are not, or do not exist.
    pub not_public: Vec<Uuid>,
    /// Tokens that are members.
    pub members: Vec<Member>,
    /// Tokens that are not, or do not exist.
    pub no_members: Vec<DriverToken>,
}

row! {
    struct Pending {
        id: i64,
        kind: String,
        key: String,
        actor: Option<String>,
    }
}

impl Subject<'_> {
    fn stored(&self) -> (Kind, String) {
        match self {
            Self::Station(id) => (Kind::Station, id.to_string()),
            Self::Token(token) => (Kind::Token, token.expose().to_owned()),
            Self::Account(id) => (Kind::Account, id.to_string()),
        }
    }
}

impl Batch {
    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The version after this batch.
    pub fn next_version(&self) -> i64 {
        self.version + i64::try_from(self.rows.len()).unwrap_or_default()
    }
}

/// Notes a change, in the transaction that makes it.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn note(tx: &mut Tx, subject: Subject<'_>, actor: Option<&str>) -> Result<(), DbError> {
    let (kind, key) = subject.stored();
    on!(tx, |c| sqlx::query(NOTE).bind(kind).bind(key.as_str()).bind(actor).execute(c).await.map(drop))?;
    Ok(())
}

/// Names who made the change that this transaction has noted. It holds the row of the subject, so no other transaction has
/// noted one meanwhile.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn attribute(tx: &mut Tx, subject: Subject<'_>, actor: &str) -> Result<(), DbError> {
    let (kind, key) = subject.stored();
    on!(tx, |c| {
        sqlx::query(ATTRIBUTE).bind(kind).bind(key.as_str()).bind(actor).execute(c).await.map(drop)
    })?;
    Ok(())
}

/// How many changes wait to be sent.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn waiting(tx: &mut Tx) -> Result<i64, DbError> {
    let (count,): (i64,) = on!(tx, |c| sqlx::query_as(COUNT).fetch_one(c).await)?;
    Ok(count)
}

/// The number of the last changes that acl-service has.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn version(tx: &mut Tx) -> Result<i64, DbError> {
    let (version,): (i64,) = on!(tx, |c| sqlx::query_as(VERSION).fetch_one(c).await)?;
    Ok(version)
}

/// The oldest changes, at most `limit` rows, with the present states. In one transaction: a state that is newer than these
/// rows has a row of its own.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn pending(tx: &mut Tx, limit: i64) -> Result<Batch, DbError> {
    let version = version(tx).await?;
    let found: Vec<Pending> = on!(tx, |c| sqlx::query_as(PENDING).bind(limit).fetch_all(c).await)?;
    let (mut stations, mut tokens) = (HashMap::new(), HashMap::new());
    let mut rows = Vec::new();
    for Pending { id, kind, key, actor } in found {
        rows.push(id);
        // A kind that only a later version writes is sent by the rebuild of that version.
        match (kind.parse::<Kind>(), key.parse::<Uuid>(), DriverToken::parse(&key)) {
            (Ok(Kind::Station), Ok(id), _) => {
                stations.insert(id, actor);
            }
            (Ok(Kind::Token), _, Ok(token)) => {
                tokens.insert(token, actor);
            }
            (Ok(Kind::Account), Ok(id), _) => {
                for token in members::of_account(tx, id).await? {
                    tokens.insert(token, actor.clone());
                }
            }
            _ => tracing::warn!(kind, "a change for acl-service cannot be read; it is passed over"),
        }
    }
    let by_actor = states(tx, stations, tokens).await?;
    Ok(Batch { version, rows, by_actor })
}

async fn states(
    tx: &mut Tx,
    stations: HashMap<Uuid, Option<String>>,
    tokens: HashMap<DriverToken, Option<String>>,
) -> Result<HashMap<Option<String>, States>, DbError> {
    let mut by_actor: HashMap<Option<String>, States> = HashMap::new();
    let ids: Vec<Uuid> = stations.keys().copied().collect();
    let found = public::among(tx, &ids).await?;
    for (id, actor) in stations {
        let states = by_actor.entry(actor).or_default();
        let list = if found.contains(&id) { &mut states.public } else { &mut states.not_public };
        list.push(id);
    }
    let names: Vec<DriverToken> = tokens.keys().cloned().collect();
    let found = members::among(tx, &names).await?;
    let mut found: HashMap<DriverToken, Member> =
        found.into_iter().map(|member| (member.driver_token.clone(), member)).collect();
    for (token, actor) in tokens {
        let states = by_actor.entry(actor).or_default();
        match found.remove(&token) {
            Some(member) => states.members.push(member),
            None => states.no_members.push(token),
        }
    }
    Ok(by_actor)
}

/// Records that acl-service has a batch. Returns whether its version was still the present one: another process may have
/// sent changes meanwhile.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn sent(tx: &mut Tx, batch: &Batch) -> Result<bool, DbError> {
    if !set_version(tx, batch.version, batch.next_version()).await? {
        return Ok(false);
    }
    for some in batch.rows.chunks(AT_ONCE) {
        // Filled up with what is no id.
        let ids = some.iter().copied().chain(std::iter::repeat(0)).take(AT_ONCE);
        on!(tx, |c| ids.fold(sqlx::query(DELETE), sqlx::query::Query::bind).execute(c).await.map(drop))?;
    }
    Ok(true)
}

/// Replaces the version. Returns whether it was the present one.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn set_version(tx: &mut Tx, present: i64, next: i64) -> Result<bool, DbError> {
    let set = on!(tx, |c| {
        let query = sqlx::query(SET_VERSION).bind(present).bind(next);
        query.execute(c).await.map(|done| done.rows_affected())
    })?;
    Ok(set > 0)
}
