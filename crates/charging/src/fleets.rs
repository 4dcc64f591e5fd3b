//! Fleets: accounts whose charging another one pays for.

pub mod members;

use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use utoipa::ToSchema;
use uuid::Uuid;

pub use self::members::{FleetMember, MemberStatus};
use crate::accounts::{self, AccountError, Address};
use crate::db::{At, DbError, Tx, on, row, statements};
use crate::stations::{Label, id};
use crate::text::text;

macro_rules! columns {
    () => {
        "id, name, payer_id, address, vat_id, version, created_at, updated_at"
    };
}

statements! {
    INSERT = "INSERT INTO fleets (id, name, payer_id, address, vat_id, version, created_at, updated_at) \
              VALUES ($1, $2, $3, $4, $5, 1, $6, $6)";
    FIND = concat!("SELECT ", columns!(), " FROM fleets WHERE id = $1");
    LIST = concat!("SELECT ", columns!(), " FROM fleets WHERE id > $1 ORDER BY id LIMIT $2");
    OF_PAYER = concat!("SELECT ", columns!(), " FROM fleets WHERE payer_id = $3 AND id > $1 ORDER BY id LIMIT $2");
    UPDATE = "UPDATE fleets SET name = $3, payer_id = $4, address = $5, vat_id = $6, version = version + 1, updated_at = $7 \
              WHERE id = $1 AND version = $2";
    TAKE = "UPDATE fleets SET version = version WHERE id = $1";
    DELETE = "DELETE FROM fleets WHERE id = $1";
}

text! {
    /// The VAT id of a company: 2 to 20 capital letters and digits.
    VatId, "expected 2 to 20 capital letters and digits",
    [min_length = 2, max_length = 20, pattern = "^[A-Z0-9]+$", example = "DE123456789"],
    |text| (2..=20).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

/// A fleet, as an operator writes it
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FleetDraft {
    /// Its name
    pub name: Label,
    /// The account that manages the fleet and pays for it
    #[serde(deserialize_with = "id::required")]
    pub payer_id: Uuid,
    /// The address, for invoices; that of the payer if absent
    pub address: Option<Address>,
    /// The VAT id, for invoices
    pub vat_id: Option<VatId>,
}

row! {
    struct Stored {
        id: Uuid,
        name: String,
        payer_id: Uuid,
        address: Option<Json<Address>>,
        vat_id: Option<String>,
        version: i64,
        created_at: At,
        updated_at: At,
    }
}

/// A fleet, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fleet {
    /// Its id.
    pub id: Uuid,
    /// What an operator wrote.
    pub draft: FleetDraft,
    /// Raised by each change; the ETag.
    pub version: i64,
    /// When it was created.
    pub created_at: At,
    /// When it was last changed.
    pub updated_at: At,
}

impl TryFrom<Stored> for Fleet {
    type Error = DbError;

    fn try_from(stored: Stored) -> Result<Self, DbError> {
        let bad = |column: &str| {
            let error =
                sqlx::Error::ColumnDecode { index: column.to_owned(), source: "unexpected value".into() };
            DbError::Defect(error)
        };
        let draft = FleetDraft {
            name: stored.name.parse().map_err(|_| bad("name"))?,
            payer_id: stored.payer_id,
            address: stored.address.map(|address| address.0),
            vat_id: stored.vat_id.map(|text| text.parse().map_err(|_| bad("vat_id"))).transpose()?,
        };
        let Stored { id, version, created_at, updated_at, .. } = stored;
        Ok(Self { id, draft, version, created_at, updated_at })
    }
}

/// Creates a fleet.
///
/// # Errors
/// Returns an error if the payer does not exist, or the database cannot be used.
pub async fn create(tx: &mut Tx, draft: &FleetDraft) -> Result<Fleet, AccountError> {
    take_payer(tx, draft.payer_id).await?;
    let (id, now) = (Uuid::now_v7(), At::now());
    on!(tx, |c| {
        let query = sqlx::query(INSERT).bind(id).bind(draft.name.as_str()).bind(draft.payer_id);
        let query =
            query.bind(draft.address.as_ref().map(Json)).bind(draft.vat_id.as_ref().map(VatId::as_str));
        query.bind(now).execute(c).await.map(drop)
    })
    .map_err(DbError::from)?;
    Ok(Fleet { id, draft: draft.clone(), version: 1, created_at: now, updated_at: now })
}

/// The fleet with this id.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn find(tx: &mut Tx, id: Uuid) -> Result<Option<Fleet>, DbError> {
    let found: Option<Stored> = on!(tx, |c| sqlx::query_as(FIND).bind(id).fetch_optional(c).await)?;
    found.map(Fleet::try_from).transpose()
}

/// The fleets after this id, by id: all of them, or those of one payer.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn list(tx: &mut Tx, payer: Option<Uuid>, after: Uuid, limit: i64) -> Result<Vec<Fleet>, DbError> {
    let found: Vec<Stored> = match payer {
        Some(payer) => {
            on!(tx, |c| sqlx::query_as(OF_PAYER).bind(after).bind(limit).bind(payer).fetch_all(c).await)
        }
        None => on!(tx, |c| sqlx::query_as(LIST).bind(after).bind(limit).fetch_all(c).await),
    }?;
    found.into_iter().map(Fleet::try_from).collect()
}

/// Replaces what an operator wrote, if nothing has changed since this version.
///
/// # Errors
/// Returns an error if the payer does not exist, the fleet has changed or is gone, or the database cannot be used.
pub async fn update(tx: &mut Tx, before: &Fleet, draft: &FleetDraft) -> Result<Fleet, AccountError> {
    take_payer(tx, draft.payer_id).await?;
    let updated = on!(tx, |c| {
        let query = sqlx::query(UPDATE).bind(before.id).bind(before.version).bind(draft.name.as_str());
        let query = query.bind(draft.payer_id).bind(draft.address.as_ref().map(Json));
        let query = query.bind(draft.vat_id.as_ref().map(VatId::as_str)).bind(At::now());
        query.execute(c).await.map(|done| done.rows_affected())
    })
    .map_err(DbError::from)?;
    match (updated, find(tx, before.id).await?) {
        (0, Some(_)) => Err(AccountError::Stale),
        (_, found) => found.ok_or(AccountError::NotFound),
    }
}

/// Deletes a fleet that has no members.
///
/// # Errors
/// Returns an error if it has members or is gone, or the database cannot be used.
pub async fn delete(tx: &mut Tx, id: Uuid) -> Result<(), AccountError> {
    if !take(tx, id).await? {
        return Err(AccountError::NotFound);
    }
    if !members::list(tx, id, Uuid::nil(), 1).await?.is_empty() {
        return Err(AccountError::conflict("members", "the fleet has members; remove them first"));
    }
    on!(tx, |c| sqlx::query(DELETE).bind(id).execute(c).await.map(drop)).map_err(DbError::from)?;
    Ok(())
}

/// Holds the row until the end of the transaction. Returns whether the fleet exists.
async fn take(tx: &mut Tx, id: Uuid) -> Result<bool, DbError> {
    let taken = on!(tx, |c| sqlx::query(TAKE).bind(id).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(taken > 0)
}

async fn take_payer(tx: &mut Tx, payer: Uuid) -> Result<(), AccountError> {
    match accounts::take(tx, payer).await? {
        true => Ok(()),
        false => Err(AccountError::conflict("payer_id", "there is no account with this id")),
    }
}
