//! The vehicles of an account.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::AccountError;
use crate::db::{At, DbError, Tx, on, row, statements};
use crate::stations::Label;
use crate::stations::connectors::Standard;
use crate::text::text;

macro_rules! columns {
    () => {
        "id, name, plate, connector, max_power_w, battery_wh, version, created_at, updated_at"
    };
}

statements! {
    INSERT = "INSERT INTO vehicles (id, account_id, name, plate, connector, max_power_w, battery_wh, version, created_at, \
              updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8, $8)";
    FIND = concat!("SELECT ", columns!(), " FROM vehicles WHERE id = $1 AND account_id = $2");
    LIST = concat!("SELECT ", columns!(), " FROM vehicles WHERE account_id = $1 AND id > $2 ORDER BY id LIMIT $3");
    COUNT = "SELECT COUNT(*) FROM vehicles WHERE account_id = $1";
    UPDATE = "UPDATE vehicles SET name = $4, plate = $5, connector = $6, max_power_w = $7, battery_wh = $8, \
              version = version + 1, updated_at = $9 WHERE id = $1 AND account_id = $2 AND version = $3";
    DELETE = "DELETE FROM vehicles WHERE id = $1 AND account_id = $2";
}

/// How many vehicles an account may have.
pub const MAX_VEHICLES: i64 = 50;
/// A truck charges with less, and has less.
const MAX_POWER_W: i64 = 10_000_000;
const MAX_BATTERY_WH: i64 = 10_000_000;

text! {
    /// The plate of a vehicle: 1 to 20 characters.
    Plate, "expected 1 to 20 characters, without control characters or spaces at its ends",
    [min_length = 1, max_length = 20,
        pattern = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$", example = "HH AB 123E"],
    |text| (1..=20).contains(&text.chars().count()) && text.trim() == text && !text.chars().any(char::is_control)
}

/// A vehicle, as its owner writes it
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VehicleDraft {
    /// Its name
    pub name: Label,
    /// Its plate
    pub plate: Option<Plate>,
    /// The connector that it charges by
    pub connector: Option<Standard>,
    /// The power that it charges with at most
    #[schema(minimum = 1, maximum = 10_000_000)]
    pub max_power_w: Option<i64>,
    /// What its battery holds
    #[schema(minimum = 1, maximum = 10_000_000)]
    pub battery_wh: Option<i64>,
}

row! {
    struct Stored {
        id: Uuid,
        name: String,
        plate: Option<String>,
        connector: Option<Standard>,
        max_power_w: Option<i64>,
        battery_wh: Option<i64>,
        version: i64,
        created_at: At,
        updated_at: At,
    }
}

/// A vehicle, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vehicle {
    /// Its id.
    pub id: Uuid,
    /// What its owner wrote.
    pub draft: VehicleDraft,
    /// Raised by each change; the ETag.
    pub version: i64,
    /// When it was created.
    pub created_at: At,
    /// When it was last changed.
    pub updated_at: At,
}

impl VehicleDraft {
    fn check(&self) -> Result<(), AccountError> {
        for (field, number, max) in
            [("max_power_w", self.max_power_w, MAX_POWER_W), ("battery_wh", self.battery_wh, MAX_BATTERY_WH)]
        {
            if number.is_some_and(|number| !(1..=max).contains(&number)) {
                return Err(AccountError::refused(field, format!("expected 1 to {max}")));
            }
        }
        Ok(())
    }
}

impl TryFrom<Stored> for Vehicle {
    type Error = DbError;

    fn try_from(stored: Stored) -> Result<Self, DbError> {
        let bad = |column: &str| {
            let error =
                sqlx::Error::ColumnDecode { index: column.to_owned(), source: "unexpected value".into() };
            DbError::Defect(error)
        };
        let draft = VehicleDraft {
            name: stored.name.parse().map_err(|_| bad("name"))?,
            plate: stored.plate.map(|plate| plate.parse().map_err(|_| bad("plate"))).transpose()?,
            connector: stored.connector,
            max_power_w: stored.max_power_w,
            battery_wh: stored.battery_wh,
        };
        let Stored { id, version, created_at, updated_at, .. } = stored;
        Ok(Self { id, draft, version, created_at, updated_at })
    }
}

/// Creates a vehicle.
///
/// # Errors
/// Returns an error if the draft is refused, the account has [`MAX_VEHICLES`] or is gone, or the database cannot be used.
pub async fn create(tx: &mut Tx, account: Uuid, draft: &VehicleDraft) -> Result<Vehicle, AccountError> {
    draft.check()?;
    if !super::take(tx, account).await? {
        return Err(AccountError::NotFound);
    }
    let (count,): (i64,) =
        on!(tx, |c| sqlx::query_as(COUNT).bind(account).fetch_one(c).await).map_err(DbError::from)?;
    if count >= MAX_VEHICLES {
        let detail = format!("an account has at most {MAX_VEHICLES} vehicles");
        return Err(AccountError::conflict("vehicles", detail));
    }
    let (id, now) = (Uuid::now_v7(), At::now());
    on!(tx, |c| {
        let query = sqlx::query(INSERT).bind(id).bind(account).bind(draft.name.as_str());
        let query = query.bind(draft.plate.as_ref().map(Plate::as_str)).bind(draft.connector);
        query.bind(draft.max_power_w).bind(draft.battery_wh).bind(now).execute(c).await.map(drop)
    })
    .map_err(DbError::from)?;
    Ok(Vehicle { id, draft: draft.clone(), version: 1, created_at: now, updated_at: now })
}

/// The vehicle of this account with this id.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn find(tx: &mut Tx, account: Uuid, id: Uuid) -> Result<Option<Vehicle>, DbError> {
    let found: Option<Stored> =
        on!(tx, |c| sqlx::query_as(FIND).bind(id).bind(account).fetch_optional(c).await)?;
    found.map(Vehicle::try_from).transpose()
}

/// The vehicles of an account after this id, by id.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn list(tx: &mut Tx, account: Uuid, after: Uuid, limit: i64) -> Result<Vec<Vehicle>, DbError> {
    let found: Vec<Stored> =
        on!(tx, |c| sqlx::query_as(LIST).bind(account).bind(after).bind(limit).fetch_all(c).await)?;
    found.into_iter().map(Vehicle::try_from).collect()
}

/// Replaces what its owner wrote, if nothing has changed since this version.
///
/// # Errors
/// Returns an error if the draft is refused, the vehicle has changed or is gone, or the database cannot be used.
pub async fn update(
    tx: &mut Tx,
    account: Uuid,
    before: &Vehicle,
    draft: &VehicleDraft,
) -> Result<Vehicle, AccountError> {
    draft.check()?;
    let updated = on!(tx, |c| {
        let query = sqlx::query(UPDATE).bind(before.id).bind(account).bind(before.version);
        let query = query.bind(draft.name.as_str()).bind(draft.plate.as_ref().map(Plate::as_str));
        let query = query.bind(draft.connector).bind(draft.max_power_w).bind(draft.battery_wh);
        query.bind(At::now()).execute(c).await.map(|done| done.rows_affected())
    })
    .map_err(DbError::from)?;
    match (updated, find(tx, account, before.id).await?) {
        (0, Some(_)) => Err(AccountError::Stale),
        (_, found) => found.ok_or(AccountError::NotFound),
    }
}

/// Deletes a vehicle. Returns whether there was one.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn delete(tx: &mut Tx, account: Uuid, id: Uuid) -> Result<bool, DbError> {
    let deleted = on!(tx, |c| sqlx::query(DELETE)
        .bind(id)
        .bind(account)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(deleted > 0)
}
