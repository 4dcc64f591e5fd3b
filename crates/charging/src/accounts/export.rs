//! Everything that is stored about the owner of an account, for the owner. A module that stores more adds it here.

use common::role::RoleGrant;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::codes::{self, Purpose};
use super::sign_ins::{self, StoredSignIn};
use super::{Account, Address, roles};
use crate::db::{At, DbError, Tx, on, row, statements};
use crate::notifications::Language;
use crate::tokens::{self, StoredToken};

statements! {
    VEHICLES = "SELECT id, name, plate, connector, max_power_w, battery_wh, created_at, updated_at FROM vehicles \
                WHERE account_id = $1 ORDER BY id";
}

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
    #[schema(value_type = Vec<Object>)]
    pub sessions: Vec<Value>,
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

row! {
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
        pub connector: Option<String>,
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
}

/// Reads everything that is stored about the owner of an account. It has only rows of this account.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn export(tx: &mut Tx, account: Account) -> Result<Export, DbError> {
    let id = account.id;
    Ok(Export {
        vehicles: on!(tx, |c| sqlx::query_as(VEHICLES).bind(id).fetch_all(c).await)?,
        tokens: tokens::stored(tx, id).await?,
        profile: profile(tx, account).await?,
        reservations: Vec::new(),
        sessions: Vec::new(),
        cdrs: Vec::new(),
        invoices: Vec::new(),
        payments: Vec::new(),
        payment_methods: Vec::new(),
    })
}

async fn profile(tx: &mut Tx, account: Account) -> Result<StoredProfile, DbError> {
    let (id, at) = (account.id, account.terms_at);
    let terms = account.terms_version.map(|version| Consent { to: "terms", version, at });
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
        sign_ins: sign_ins::stored(tx, id).await?,
        created_at: account.created_at,
        updated_at: account.updated_at,
    })
}
