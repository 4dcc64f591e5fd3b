//! Accounts: people and companies with a name and a password, their roles, and their sign-ins.

pub mod access_tokens;
mod address;
pub mod audit;
pub mod codes;
pub mod erasure;
mod error;
pub mod export;
pub mod locks;
mod mails;
mod names;
pub mod passwords;
pub mod retention;
pub mod roles;
pub mod second_factor;
mod secret;
pub mod sign_ins;
pub mod signing_keys;
pub mod vehicles;
pub mod verification;

use std::ops::Bound::{Excluded, Unbounded};

use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::types::Json;
use utoipa::ToSchema;
use uuid::Uuid;

pub use self::address::Address;
pub use self::error::AccountError;
use self::locks::Lock;
pub(crate) use self::names::prefix_pattern;
pub use self::names::{Email, PersonName, Reason, TermsVersion, Username, comparable};
pub use self::passwords::{Password, PasswordHash};
pub use self::secret::Secret;
use crate::db::{At, DbError, Tx, on, row, statements, words};
use crate::events::{self, Happened};
pub use crate::notifications::Language;

macro_rules! columns {
    () => {
        "id, username, password, email, name, language, address, status, status_reason, totp_confirmed, terms_version, \
         terms_at, version, created_at, updated_at"
    };
}

statements! {
    INSERT = "INSERT INTO accounts (id, username, username_key, password, language, status, totp_confirmed, totp_last_step, \
              terms_version, terms_at, version, created_at, updated_at) \
              VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9, 1, $10, $10) ON CONFLICT DO NOTHING";
    FIND = concat!("SELECT ", columns!(), " FROM accounts WHERE id = $1");
    BY_NAME = concat!("SELECT ", columns!(), " FROM accounts WHERE username_key = $1");
    BY_EMAIL = concat!("SELECT ", columns!(), " FROM accounts WHERE email_key = $1");
    LIST = concat!("SELECT ", columns!(), " FROM accounts WHERE id > $1 ORDER BY id LIMIT $2");
    WITH_ROLE = concat!("SELECT ", columns!(), " FROM accounts \
         WHERE id > $1 AND id IN (SELECT account_id FROM account_roles WHERE role = $3) ORDER BY id LIMIT $2");
    NAMED = concat!("SELECT ", columns!(), " FROM accounts WHERE id > $1 AND (username_key LIKE $3 ESCAPE '!' \
         OR email_key LIKE $3 ESCAPE '!') AND ($4 = '' OR id IN (SELECT account_id FROM account_roles WHERE role = $4)) \
         ORDER BY id LIMIT $2");
    UPDATE = "UPDATE accounts SET name = $3, language = $4, address = $5, version = version + 1, updated_at = $6 \
              WHERE id = $1 AND version = $2";
    SET_EMAIL = "UPDATE accounts SET email = $2, email_key = $3, version = version + 1, updated_at = $4 WHERE id = $1";
    SET_PASSWORD = "UPDATE accounts SET password = $2, version = version + 1, updated_at = $3 WHERE id = $1";
    SET_STATUS = "UPDATE accounts SET status = $2, status_reason = $3, version = version + 1, updated_at = $4 WHERE id = $1";
    SET_TERMS = "UPDATE accounts SET terms_version = $2, terms_at = $3, version = version + 1, updated_at = $3 WHERE id = $1";
    TAKE = "UPDATE accounts SET version = version WHERE id = $1";
    CHANGED = "UPDATE accounts SET version = version + 1, updated_at = $2 WHERE id = $1";
}

words! {
    /// Whether an account may be used.
    pub enum AccountStatus {
        /// It may be used.
        Active = "active",
        /// An administrator has blocked it: it cannot be signed in to, and its tokens are blocked.
        Blocked = "blocked",
    }
}

/// A new account.
#[derive(Debug)]
pub struct NewAccount {
    /// Its name, by which it signs in.
    pub username: Username,
    /// Its password.
    pub password: PasswordHash,
    /// The language of its mails.
    pub language: Language,
    /// The version of the terms that its owner has accepted.
    pub terms: Option<TermsVersion>,
}

row! {
    /// An account, as it is stored.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Account {
        /// Its id.
        pub id: Uuid,
        /// Its name, by which it signs in.
        pub username: String,
        /// Its password, hashed.
        pub password: PasswordHash,
        /// Its address for mail, which is verified.
        pub email: Option<String>,
        /// The name of its owner.
        pub name: Option<String>,
        /// The language of its mails.
        pub language: Language,
        /// The address of its owner, for invoices.
        pub address: Option<Json<Address>>,
        /// Whether it may be used.
        pub status: AccountStatus,
        /// Why it has this status.
        pub status_reason: Option<String>,
        /// Whether signing in needs a one-time password too.
        pub totp_confirmed: bool,
        /// The version of the terms that its owner has accepted.
        pub terms_version: Option<String>,
        /// When the terms were accepted.
        pub terms_at: Option<At>,
        /// Raised by each change; the ETag.
        pub version: i64,
        /// When it was created.
        pub created_at: At,
        /// When it was last changed.
        pub updated_at: At,
    }
}

/// What the owner of an account may write about themselves
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The address for mail. A new one counts once it is verified
    pub email: Option<Email>,
    /// The name of the owner
    pub name: Option<PersonName>,
    /// The language of mails; `en` unless given
    pub language: Option<Language>,
    /// The address, for invoices
    pub address: Option<Address>,
}

/// Which accounts a list contains.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Those whose name or verified address begins so.
    pub prefix: Option<String>,
    /// Those with this role.
    pub role: Option<common::role::Role>,
    /// Those with a role at one of these locations.
    pub at: Option<Vec<Uuid>>,
}

impl Account {
    /// What its owner wrote.
    pub fn profile(&self) -> Profile {
        Profile {
            email: self.email.as_ref().and_then(|email| email.parse().ok()),
            name: self.name.as_ref().and_then(|name| name.parse().ok()),
            language: Some(self.language),
            address: self.address.as_ref().map(|address| address.0.clone()),
        }
    }

    fn begins(&self, prefix: &str) -> bool {
        let names = [Some(&self.username), self.email.as_ref()];
        names.into_iter().flatten().any(|name| names::key(name).starts_with(&names::key(prefix)))
    }

    /// Whether it may be used.
    pub fn is_active(&self) -> bool {
        self.status == AccountStatus::Active
    }
}

/// Creates an account with the role of a driver, and a token of the type `APP_USER`.
///
/// # Errors
/// Returns an error if the name is taken, or the database cannot be used.
pub async fn create(tx: &mut Tx, new: &NewAccount) -> Result<Account, AccountError> {
    let (id, now) = (Uuid::now_v7(), At::now());
    let terms = new.terms.as_ref();
    let created = on!(tx, |c| {
        let query = sqlx::query(INSERT).bind(id).bind(new.username.as_str()).bind(new.username.key());
        let query = query.bind(&new.password).bind(new.language).bind(AccountStatus::Active).bind(false);
        let query = query.bind(terms.map(TermsVersion::as_str)).bind(terms.map(|_| now)).bind(now);
        query.execute(c).await.map(|done| done.rows_affected())
    })
    .map_err(DbError::from)?;
    if created == 0 {
        return Err(AccountError::conflict("username", "this name is taken"));
    }
    roles::add(tx, id, common::role::Role::Driver).await?;
    happened(tx, "account.created", id, None).await?;
    // What the account books and starts by, unless another token is named.
    crate::tokens::create_app_token(tx, id, None).await?;
    find(tx, id).await?.ok_or(AccountError::NotFound)
}

/// The account with this id.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn find(tx: &mut Tx, id: Uuid) -> Result<Option<Account>, DbError> {
    Ok(on!(tx, |c| sqlx::query_as(FIND).bind(id).fetch_optional(c).await)?)
}

/// The account with this name or this verified address, as it is typed at sign-in. An address contains `@`, which a name
/// cannot.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn by_login(tx: &mut Tx, login: &str) -> Result<Option<Account>, DbError> {
    if let Ok(email) = login.parse::<Email>() {
        return by_email(tx, &email).await;
    }
    let Ok(name) = login.parse::<Username>() else { return Ok(None) };
    Ok(on!(tx, |c| sqlx::query_as(BY_NAME).bind(name.key()).fetch_optional(c).await)?)
}

/// The account with this verified address.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn by_email(tx: &mut Tx, email: &Email) -> Result<Option<Account>, DbError> {
    Ok(on!(tx, |c| sqlx::query_as(BY_EMAIL).bind(email.key()).fetch_optional(c).await)?)
}

/// The accounts after this id, by id.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn list(tx: &mut Tx, filter: &Filter, after: Uuid, limit: i64) -> Result<Vec<Account>, DbError> {
    if let Some(locations) = &filter.at {
        return at_locations(tx, filter, locations, after, limit).await;
    }
    let role = filter.role.map(common::role::Role::as_str);
    let found = match (&filter.prefix, role) {
        (Some(prefix), role) => on!(tx, |c| {
            let query = sqlx::query_as(NAMED).bind(after).bind(limit).bind(names::prefix_pattern(prefix));
            query.bind(role.unwrap_or_default()).fetch_all(c).await
        }),
        (None, Some(role)) => {
            on!(tx, |c| sqlx::query_as(WITH_ROLE).bind(after).bind(limit).bind(role).fetch_all(c).await)
        }
        (None, None) => on!(tx, |c| sqlx::query_as(LIST).bind(after).bind(limit).fetch_all(c).await),
    };
    Ok(found?)
}

/// The accounts with a role at one of these locations: few, as they work there.
async fn at_locations(
    tx: &mut Tx,
    filter: &Filter,
    locations: &[Uuid],
    after: Uuid,
    limit: i64,
) -> Result<Vec<Account>, DbError> {
    let limit = usize::try_from(limit).unwrap_or_default();
    let mut found = Vec::new();
    for id in roles::at(tx, locations, filter.role).await?.range((Excluded(after), Unbounded)) {
        if found.len() == limit {
            break;
        }
        let account = find(tx, *id).await?;
        found.extend(
            account.filter(|account| filter.prefix.as_ref().is_none_or(|prefix| account.begins(prefix))),
        );
    }
    Ok(found)
}

/// Replaces what the owner wrote, except for the address for mail, if nothing has changed since this version.
///
/// # Errors
/// Returns an error if the account has changed or is gone, or the database cannot be used.
pub async fn update(tx: &mut Tx, id: Uuid, version: i64, profile: &Profile) -> Result<Account, AccountError> {
    let updated = on!(tx, |c| {
        let query = sqlx::query(UPDATE).bind(id).bind(version);
        let query = query.bind(profile.name.as_ref().map(PersonName::as_str));
        let query =
            query.bind(profile.language.unwrap_or(Language::En)).bind(profile.address.as_ref().map(Json));
        query.bind(At::now()).execute(c).await.map(|done| done.rows_affected())
    })
    .map_err(DbError::from)?;
    match (updated, find(tx, id).await?) {
        (0, Some(_)) => Err(AccountError::Stale),
        (_, found) => found.ok_or(AccountError::NotFound),
    }
}

/// Sets or removes the address for mail, which its owner has verified.
///
/// # Errors
/// Returns an error if another account has it, or the database cannot be used.
pub async fn set_email(tx: &mut Tx, id: Uuid, email: Option<&Email>) -> Result<(), AccountError> {
    let set = on!(tx, |c| {
        let query =
            sqlx::query(SET_EMAIL).bind(id).bind(email.map(Email::as_str)).bind(email.map(Email::key));
        query.bind(At::now()).execute(c).await.map(drop)
    });
    match set.map_err(DbError::from) {
        Err(error) if error.violates("accounts_email_key_key") => {
            Err(AccountError::conflict("email", "another account has this address"))
        }
        set => Ok(set?),
    }
}

/// Sets the password, and ends all sign-ins but one. The owner gets a notice.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn set_password(
    tx: &mut Tx,
    id: Uuid,
    password: &PasswordHash,
    keep: Option<Uuid>,
) -> Result<(), DbError> {
    on!(tx, |c| sqlx::query(SET_PASSWORD)
        .bind(id)
        .bind(password)
        .bind(At::now())
        .execute(c)
        .await
        .map(drop))?;
    sign_ins::end_all(tx, id, keep, sign_ins::Ending::Password).await?;
    match find(tx, id).await? {
        Some(account) => mails::password_changed(tx, &account).await,
        None => Ok(()),
    }
}

/// Blocks the account, or unblocks it. A blocked one loses its sign-ins.
///
/// # Errors
/// Returns an error if the last administrator would be blocked, or the database cannot be used.
pub async fn set_status(
    tx: &mut Tx,
    id: Uuid,
    status: AccountStatus,
    reason: Option<&str>,
) -> Result<(), AccountError> {
    locks::hold(tx, Lock::Administrators).await?;
    on!(tx, |c| {
        let query = sqlx::query(SET_STATUS).bind(id).bind(status).bind(reason).bind(At::now());
        query.execute(c).await.map(drop)
    })
    .map_err(DbError::from)?;
    if status == AccountStatus::Blocked {
        if roles::of(tx, id).await?.iter().any(|grant| grant.role == common::role::Role::Admin) {
            roles::keep_one_admin(tx, "status").await?;
        }
        sign_ins::end_all(tx, id, None, sign_ins::Ending::Blocked).await?;
    }
    crate::tokens::changed_account(tx, id, status == AccountStatus::Blocked).await?;
    Ok(happened(tx, "account.updated", id, None).await?)
}

/// Records that the owner has accepted the terms.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn accept_terms(tx: &mut Tx, id: Uuid, terms: &TermsVersion) -> Result<(), DbError> {
    on!(tx, |c| {
        sqlx::query(SET_TERMS).bind(id).bind(terms.as_str()).bind(At::now()).execute(c).await.map(drop)
    })?;
    Ok(())
}

/// Holds the row until the end of the transaction. Returns whether the account exists.
pub(crate) async fn take(tx: &mut Tx, id: Uuid) -> Result<bool, DbError> {
    let taken = on!(tx, |c| sqlx::query(TAKE).bind(id).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(taken > 0)
}

/// Makes the account a new version, where what is shown of it stands in other tables too. Holds its row.
pub(crate) async fn changed(tx: &mut Tx, id: Uuid) -> Result<(), DbError> {
    Ok(on!(tx, |c| sqlx::query(CHANGED).bind(id).bind(At::now()).execute(c).await.map(drop))?)
}

/// Writes an event of an account. The transaction holds its row.
pub(crate) async fn happened(
    tx: &mut Tx,
    routing_key: &'static str,
    account: Uuid,
    sign_in: Option<Uuid>,
) -> Result<(), DbError> {
    let more = match sign_in {
        Some(sign_in) => json!({"account_id": account, "sign_in_id": sign_in}),
        None => json!({"account_id": account}),
    };
    events::write(tx, &Happened { routing_key, station_id: None, location_id: None, more }).await
}
