//! Everything that is stored about the owner of an account, for the owner. A module that stores more adds it here.

use common::role::RoleGrant;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::codes::{self, Purpose};
use super::sign_ins::{self, StoredSignIn};
use super::vehicles::{self, Vehicle};
use super::{Account, Address, roles};
use crate::db::{At, DbError, Tx};
use crate::fleets::members::{self, FleetMember, MemberStatus};
use crate::notifications::Language;
use crate::sessions::{self, StoredSession};
use crate::stations::connectors::Standard;
use crate::tokens::{self, StoredToken};

/// More than an account may have.
const ALL: i64 = 10_000;

/// Everything that is stored about the owner of an account
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Export {
    /// The account itself
    pub profile: StoredProfile,
    /// Vehicles
    pub vehicles: Vec<StoredVehicle>,
    /// What the owner shows to charge
    pub tokens: Vec<StoredToken>,
    /// Reservations
    #[schema(value_type = Vec<Object>)]
    pub reservations: Vec<Value>,
    /// Charging sessions
    pub sessions: Vec<StoredSession>,
    /// Records of charged energy
    #[schema(value_type = Vec<Object>)]
    pub cdrs: Vec<Value>,
    /// Invoices
    #[schema(value_type = Vec<Object>)]
    pub invoices: Vec<Value>,
    /// Payments
    #[schema(value_type = Vec<Object>)]
    pub payments: Vec<Value>,
    /// Cards and other ways to pay
    #[schema(value_type = Vec<Object>)]
    pub payment_methods: Vec<Value>,
}

/// The account itself, as it is stored
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct StoredProfile {
    /// Its id
    pub id: Uuid,
    /// Its name
    pub username: String,
    /// Its verified address for mail
    #[schema(required)]
    pub email: Option<String>,
    /// The address that a code was sent to
    #[schema(required)]
    pub email_pending: Option<String>,
    /// The name of the owner
    #[schema(required)]
    pub name: Option<String>,
    /// The language of mails
    pub language: Language,
    /// The address, for invoices
    #[schema(required)]
    pub address: Option<Address>,
    /// Its roles
    pub roles: Vec<RoleGrant>,
    /// Its status
    pub status: super::AccountStatus,
    /// Why it has this status
    #[schema(required)]
    pub status_reason: Option<String>,
    /// Whether signing in needs a one-time password too
    pub second_factor: bool,
    /// What the owner has consented to
    pub consents: Vec<Consent>,
    /// The fleets that it belongs to, or is invited to
    pub fleets: Vec<StoredMembership>,
    /// Where the account was signed in
    pub sign_ins: Vec<StoredSignIn>,
    /// When it was created
    pub created_at: At,
    /// When it was last changed
    pub updated_at: At,
}

/// A consent
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Consent {
    /// What the owner has consented to: `terms`
    pub to: &'static str,
    /// Its version
    pub version: String,
    /// When
    #[schema(required)]
    pub at: Option<At>,
}

/// A membership of a fleet
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct StoredMembership {
    /// The fleet
    pub fleet_id: Uuid,
    /// Whether the account has accepted
    pub status: MemberStatus,
    /// Since when it has this status
    pub since: At,
}

/// A vehicle, as it is stored
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct StoredVehicle {
    /// Its id
    pub id: Uuid,
    /// Its name
    pub name: String,
    /// Its number plate
    #[schema(required)]
    pub plate: Option<String>,
    /// Its connector
    #[schema(required)]
    pub connector: Option<Standard>,
    /// The highest power that it takes
    #[schema(required)]
    pub max_power_w: Option<i64>,
    /// The capacity of its battery
    #[schema(required)]
    pub battery_wh: Option<i64>,
    /// When it was entered
    pub created_at: At,
    /// When it was last changed
    pub updated_at: At,
}

impl From<Vehicle> for StoredVehicle {
    fn from(vehicle: Vehicle) -> Self {
        let Vehicle { id, draft, created_at, updated_at, .. } = vehicle;
        Self {
            id,
            name: draft.name.as_str().to_owned(),
            plate: draft.plate.map(|plate| plate.as_str().to_owned()),
            connector: draft.connector,
            max_power_w: draft.max_power_w,
            battery_wh: draft.battery_wh,
            created_at,
            updated_at,
        }
    }
}

impl From<FleetMember> for StoredMembership {
    fn from(member: FleetMember) -> Self {
        let FleetMember { fleet_id, status, since, .. } = member;
        Self { fleet_id, status, since }
    }
}

/// Reads everything that is stored about the owner of an account. It has only rows of this account.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn export(tx: &mut Tx, account: Account) -> Result<Export, DbError> {
    let id = account.id;
    let vehicles = vehicles::list(tx, id, Uuid::nil(), ALL).await?;
    Ok(Export {
        vehicles: vehicles.into_iter().map(StoredVehicle::from).collect(),
        tokens: tokens::stored(tx, id).await?,
        profile: profile(tx, account).await?,
        reservations: Vec::new(),
        sessions: sessions::personal::stored(tx, id).await?,
        cdrs: Vec::new(),
        invoices: Vec::new(),
        payments: Vec::new(),
        payment_methods: Vec::new(),
    })
}

async fn profile(tx: &mut Tx, account: Account) -> Result<StoredProfile, DbError> {
    let (id, at) = (account.id, account.terms_at);
    let terms = account.terms_version.map(|version| Consent { to: "terms", version, at });
    let fleets = members::of_account(tx, id, Uuid::nil(), ALL).await?;
    Ok(StoredProfile {
        id,
        username: account.username,
        email: account.email,
        email_pending: codes::pending(tx, id, Purpose::VerifyEmail).await?,
        name: account.name,
        language: account.language,
        address: account.address.map(|address| address.0),
        roles: roles::of(tx, id).await?,
        status: account.status,
        status_reason: account.status_reason,
        second_factor: account.totp_confirmed,
        consents: terms.into_iter().collect(),
        fleets: fleets.into_iter().map(StoredMembership::from).collect(),
        sign_ins: sign_ins::stored(tx, id).await?,
        created_at: account.created_at,
        updated_at: account.updated_at,
    })
}
