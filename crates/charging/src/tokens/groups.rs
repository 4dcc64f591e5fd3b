//! Groups of tokens: OCPP's parent id tags.

use uuid::Uuid;

use super::IdTag;
use crate::accounts::AccountError;
use crate::db::{At, DbError, Tx, on, row, statements};

macro_rules! columns {
    () => {
        "id, name, version, created_at, updated_at"
    };
}

statements! {
    INSERT = "INSERT INTO token_groups (id, name, name_key, version, created_at, updated_at) VALUES ($1, $2, $3, 1, $4, $4) \
              ON CONFLICT DO NOTHING";
    FIND = concat!("SELECT ", columns!(), " FROM token_groups WHERE id = $1");
    BY_NAME = concat!("SELECT ", columns!(), " FROM token_groups WHERE name_key = $1");
    LIST = concat!("SELECT ", columns!(), " FROM token_groups WHERE id > $1 ORDER BY id LIMIT $2");
    RENAME = "UPDATE token_groups SET name = $2, name_key = $3, version = version + 1, updated_at = $4 WHERE id = $1";
    TAKE = "UPDATE token_groups SET version = version WHERE id = $1";
    DELETE = "DELETE FROM token_groups WHERE id = $1";
    TOKENS = "SELECT COUNT(*) FROM (SELECT 1 FROM tokens WHERE group_id = $1 LIMIT 1) AS one";
}

row! {
    struct Stored {
        id: Uuid,
        name: String,
        version: i64,
        created_at: At,
        updated_at: At,
    }
}

/// A group of tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its id.
    pub id: Uuid,
    /// Its name, the parent id tag.
    pub name: IdTag,
    /// Raised by each change; the ETag.
    pub version: i64,
    /// When it was created.
    pub created_at: At,
    /// When it was last changed.
    pub updated_at: At,
}

impl TryFrom<Stored> for Group {
    type Error = DbError;

    fn try_from(stored: Stored) -> Result<Self, DbError> {
        let Stored { id, name, version, created_at, updated_at } = stored;
        let name = super::read("name", &name)?;
        Ok(Self { id, name, version, created_at, updated_at })
    }
}

/// Creates a group.
///
/// # Errors
/// Returns an error if the name is taken, or the database cannot be used.
pub async fn create(tx: &mut Tx, name: &IdTag) -> Result<Group, AccountError> {
    let (id, now) = (Uuid::now_v7(), At::now());
    let created = on!(tx, |c| {
        let query = sqlx::query(INSERT).bind(id).bind(name.expose()).bind(name.key()).bind(now);
        query.execute(c).await.map(|done| done.rows_affected())
    })
    .map_err(DbError::from)?;
    if created == 0 {
        return Err(taken());
    }
    find(tx, id).await?.ok_or(AccountError::NotFound)
}

/// The group of this name, which is created if there is none.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn named_or_new(tx: &mut Tx, name: &IdTag) -> Result<Group, AccountError> {
    match by_name(tx, name).await? {
        Some(group) => Ok(group),
        None => match create(tx, name).await {
            // Another transaction was first.
            Err(AccountError::Conflict(_)) => by_name(tx, name).await?.ok_or(AccountError::NotFound),
            created => created,
        },
    }
}

/// The group with this id.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn find(tx: &mut Tx, id: Uuid) -> Result<Option<Group>, DbError> {
    let found: Option<Stored> = on!(tx, |c| sqlx::query_as(FIND).bind(id).fetch_optional(c).await)?;
    found.map(Group::try_from).transpose()
}

/// The group of this name.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn by_name(tx: &mut Tx, name: &IdTag) -> Result<Option<Group>, DbError> {
    let found: Option<Stored> =
        on!(tx, |c| sqlx::query_as(BY_NAME).bind(name.key()).fetch_optional(c).await)?;
    found.map(Group::try_from).transpose()
}

/// The groups after this id, by id.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn list(tx: &mut Tx, after: Uuid, limit: i64) -> Result<Vec<Group>, DbError> {
    let found: Vec<Stored> = on!(tx, |c| sqlx::query_as(LIST).bind(after).bind(limit).fetch_all(c).await)?;
    found.into_iter().map(Group::try_from).collect()
}

/// Renames a group.
///
/// # Errors
/// Returns an error if the name is taken, the group is gone, or the database cannot be used.
pub async fn rename(tx: &mut Tx, id: Uuid, name: &IdTag) -> Result<Group, AccountError> {
    let renamed = on!(tx, |c| {
        let query = sqlx::query(RENAME).bind(id).bind(name.expose()).bind(name.key()).bind(At::now());
        query.execute(c).await.map(drop)
    });
    match renamed.map_err(DbError::from) {
        Err(error) if error.violates("token_groups_name_key_key") => return Err(taken()),
        renamed => renamed?,
    }
    find(tx, id).await?.ok_or(AccountError::NotFound)
}

/// Deletes a group that has no tokens.
///
/// # Errors
/// Returns an error if it has tokens or is gone, or the database cannot be used.
pub async fn delete(tx: &mut Tx, id: Uuid) -> Result<(), AccountError> {
    let taken = on!(tx, |c| sqlx::query(TAKE).bind(id).execute(c).await.map(|done| done.rows_affected()));
    if taken.map_err(DbError::from)? == 0 {
        return Err(AccountError::NotFound);
    }
    let (tokens,): (i64,) =
        on!(tx, |c| sqlx::query_as(TOKENS).bind(id).fetch_one(c).await).map_err(DbError::from)?;
    if tokens > 0 {
        return Err(AccountError::conflict("tokens", "the group has tokens; move them first"));
    }
    on!(tx, |c| sqlx::query(DELETE).bind(id).execute(c).await.map(drop)).map_err(DbError::from)?;
    Ok(())
}

fn taken() -> AccountError {
    AccountError::conflict("name", "there is a group with this name")
}
