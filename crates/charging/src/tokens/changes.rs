//! Changes of tokens: by operators, by their owners, and by who binds a card.

use common::ids::DriverToken;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    BindCode, BlockedBy, IdTag, Token, TokenStatus, Whitelist, find, groups, happened, owner_blocked,
};
use crate::accounts::AccountError;
use crate::core_sync::{self, Subject};
use crate::db::{At, DbError, Tx, on, statements};
use crate::fleets;
use crate::stations::id;

statements! {
    UPDATE = "UPDATE tokens SET account_id = $3, fleet_id = $4, group_id = $5, driver_token = $6, status = $7, blocked_by = $8, \
              owner_blocked = $9, whitelist = $10, expires_at = $11, version = version + 1, updated_at = $12 \
              WHERE id = $1 AND version = $2";
    FORGET_CODE = "UPDATE tokens SET bind_code = NULL WHERE id = $1";
    SET_CODE = "UPDATE tokens SET bind_code = $2 WHERE id = $1 AND account_id IS NULL";
    BIND = "UPDATE tokens SET account_id = $2, bind_code = NULL, owner_blocked = $3, version = version + 1, updated_at = $4 \
            WHERE bind_code = $1 AND account_id IS NULL RETURNING id";
    DELETE = "DELETE FROM tokens WHERE id = $1";
    LEAVE_FLEET = "UPDATE tokens SET fleet_id = NULL, version = version + 1, updated_at = $3 \
                   WHERE fleet_id = $1 AND account_id = $2";
}

/// What an operator may change of a token
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenTerms {
    /// Whether it counts
    pub status: TokenStatus,
    /// When a charger may accept it without asking
    pub whitelist: Whitelist,
    /// When it expires
    pub expires_at: Option<At>,
    /// The name of its group, the parent id tag
    pub group: Option<IdTag>,
    /// The account that it belongs to
    #[serde(default, deserialize_with = "id::optional")]
    pub user_id: Option<Uuid>,
    /// The fleet that pays for it. The account must be an active member
    #[serde(default, deserialize_with = "id::optional")]
    pub fleet_id: Option<Uuid>,
}

/// Changes a token for an operator, if nothing has changed since it was read.
///
/// # Errors
/// Returns an error if what it refers to does not exist, its driver token is taken, it has changed or is gone, or the
/// database cannot be used.
pub async fn update(
    tx: &mut Tx,
    before: &Token,
    driver_token: &DriverToken,
    terms: &TokenTerms,
    actor: Option<&str>,
) -> Result<Token, AccountError> {
    let blocked_by = (terms.status == TokenStatus::Blocked).then_some(BlockedBy::Operator);
    let mut terms = terms.clone();
    // A card that gets another owner leaves the fleet of the former one, unless it is put into a fleet in the same change.
    if terms.user_id != before.terms.user_id && terms.fleet_id == before.terms.fleet_id {
        terms.fleet_id = None;
    }
    store(tx, before, driver_token, &terms, blocked_by, actor).await
}

/// Blocks a token for its owner, or lifts the owner's block.
///
/// # Errors
/// Returns an error if an operator has blocked it, it has changed or is gone, or the database cannot be used.
pub async fn set_own_status(
    tx: &mut Tx,
    before: &Token,
    status: TokenStatus,
    actor: Option<&str>,
) -> Result<Token, AccountError> {
    if status == before.terms.status {
        return Ok(before.clone());
    }
    match (before.blocked_by, before.terms.status, status) {
        (_, _, TokenStatus::Expired) => {
            return Err(AccountError::refused("status", "expected active or blocked"));
        }
        (Some(BlockedBy::Operator), TokenStatus::Blocked, _) => {
            return Err(AccountError::conflict("status", "an operator has blocked it"));
        }
        (_, TokenStatus::Expired, TokenStatus::Active) => {
            return Err(AccountError::conflict("status", "it has expired"));
        }
        _ => {}
    }
    let blocked_by = (status == TokenStatus::Blocked).then_some(BlockedBy::Owner);
    let terms = TokenTerms { status, ..before.terms.clone() };
    store(tx, before, &before.driver_token, &terms, blocked_by, actor).await
}

/// Charges a token to a fleet, or to its account again.
///
/// # Errors
/// Returns an error if the account is no active member, the token has changed or is gone, or the database cannot be used.
pub async fn set_fleet(
    tx: &mut Tx,
    before: &Token,
    fleet_id: Option<Uuid>,
    actor: Option<&str>,
) -> Result<Token, AccountError> {
    let terms = TokenTerms { fleet_id, ..before.terms.clone() };
    store(tx, before, &before.driver_token, &terms, before.blocked_by, actor).await
}

async fn store(
    tx: &mut Tx,
    before: &Token,
    driver_token: &DriverToken,
    terms: &TokenTerms,
    blocked_by: Option<BlockedBy>,
    actor: Option<&str>,
) -> Result<Token, AccountError> {
    // Rows are held in one order everywhere: account, fleet, token.
    let owner_blocked = owner_blocked(tx, terms.user_id).await?;
    if let Some(fleet) = terms.fleet_id {
        fleets::members::require(tx, fleet, terms.user_id).await?;
    }
    let group = group_id(tx, terms.group.as_ref()).await?;
    let updated = on!(tx, |c| {
        let query = sqlx::query(UPDATE).bind(before.id).bind(before.version).bind(terms.user_id);
        let query = query.bind(terms.fleet_id).bind(group).bind(driver_token.expose()).bind(terms.status);
        let query = query.bind(blocked_by).bind(owner_blocked).bind(terms.whitelist).bind(terms.expires_at);
        query.bind(At::now()).execute(c).await.map(|done| done.rows_affected())
    });
    if updated.map_err(|error| taken(error.into()))? == 0 {
        let exists = find(tx, before.id).await?.is_some();
        return Err(if exists { AccountError::Stale } else { AccountError::NotFound });
    }
    if terms.user_id.is_some() {
        // A card with an owner cannot be bound to another account by its code.
        on!(tx, |c| sqlx::query(FORGET_CODE).bind(before.id).execute(c).await.map(drop))
            .map_err(DbError::from)?;
    }
    core_sync::note(tx, Subject::Token(&before.driver_token), actor).await?;
    if *driver_token != before.driver_token {
        core_sync::note(tx, Subject::Token(driver_token), actor).await?;
    }
    happened(tx, "account.token_updated", before.id, terms.user_id).await?;
    find(tx, before.id).await?.ok_or(AccountError::NotFound)
}

/// Issues a code by which the owner of a card binds it to an account. An earlier code stops working.
///
/// # Errors
/// Returns an error if the token has an account or is gone, or the database cannot be used.
pub async fn issue_code(tx: &mut Tx, token: Uuid) -> Result<BindCode, AccountError> {
    let code = BindCode::generate()?;
    set_code(tx, token, &code).await?;
    Ok(code)
}

/// The same with the code that is printed on the card already.
///
/// # Errors
/// Returns an error if the token has an account or is gone, another card has the code, or the database cannot be used.
pub async fn set_code(tx: &mut Tx, token: Uuid, code: &BindCode) -> Result<(), AccountError> {
    let set = on!(tx, |c| {
        let query = sqlx::query(SET_CODE).bind(token).bind(code.hash());
        query.execute(c).await.map(|done| done.rows_affected())
    });
    match set.map_err(|error| taken(error.into()))? {
        0 if find(tx, token).await?.is_none() => Err(AccountError::NotFound),
        0 => Err(AccountError::conflict("user_id", "the token belongs to an account")),
        _ => Ok(()),
    }
}

/// Binds the card with this code to an account. `None` if the code is unknown or was used: the two look the same.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn bind(
    tx: &mut Tx,
    account: Uuid,
    code: &BindCode,
    actor: Option<&str>,
) -> Result<Option<Token>, AccountError> {
    let owner_blocked = owner_blocked(tx, Some(account)).await?;
    let bound: Option<(Uuid,)> = on!(tx, |c| {
        let query = sqlx::query_as(BIND).bind(code.hash()).bind(account).bind(owner_blocked).bind(At::now());
        query.fetch_optional(c).await
    })
    .map_err(DbError::from)?;
    let Some((id,)) = bound else { return Ok(None) };
    let token = find(tx, id).await?.ok_or(AccountError::NotFound)?;
    core_sync::note(tx, Subject::Token(&token.driver_token), actor).await?;
    happened(tx, "account.token_updated", id, Some(account)).await?;
    Ok(Some(token))
}

/// Deletes a token.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn remove(tx: &mut Tx, token: &Token, actor: Option<&str>) -> Result<(), DbError> {
    on!(tx, |c| sqlx::query(DELETE).bind(token.id).execute(c).await.map(drop))?;
    core_sync::note(tx, Subject::Token(&token.driver_token), actor).await?;
    happened(tx, "account.token_deleted", token.id, token.terms.user_id).await
}

/// Takes the tokens of a member who leaves out of the fleet.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub(crate) async fn leave_fleet(tx: &mut Tx, fleet: Uuid, account: Uuid) -> Result<(), DbError> {
    on!(tx, |c| {
        sqlx::query(LEAVE_FLEET).bind(fleet).bind(account).bind(At::now()).execute(c).await.map(drop)
    })?;
    Ok(())
}

/// The id of the group with this name.
pub(super) async fn group_id(tx: &mut Tx, name: Option<&IdTag>) -> Result<Option<Uuid>, AccountError> {
    let Some(name) = name else { return Ok(None) };
    let unknown = || AccountError::conflict("group", "there is no group with this name");
    Ok(Some(groups::by_name(tx, name).await?.ok_or_else(unknown)?.id))
}

/// Which name is taken.
pub(super) fn taken(error: DbError) -> AccountError {
    let names = [
        ("tokens_uid_key_key", "uid", "there is a token with this uid"),
        ("tokens_driver_token_key", "driver_token", "there is a token with this driver token"),
        ("tokens_id_tag_key_key", "id_tag", "there is a token with this id tag"),
        ("tokens_bind_code_key", "printed_code", "another card has this code"),
        ("tokens_group_id_fkey", "group", "there is no group with this name"),
    ];
    match names.into_iter().find(|(constraint, ..)| error.violates(constraint)) {
        Some((_, field, detail)) => AccountError::conflict(field, detail),
        None => error.into(),
    }
}
