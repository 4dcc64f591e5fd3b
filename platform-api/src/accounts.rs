//! How accounts sign in: the parts that handlers share, and the accounts as the gate asks for them.

mod limits;
mod passwords;
mod resets;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use charging::accounts::access_tokens::AccessTokens;
use charging::accounts::locks::{self, Lock};
use charging::accounts::{
    self, Account, Language, NewAccount, Password, TermsVersion, Username, roles, sign_ins, signing_keys,
};
use charging::db::at_the_start;
use charging::{Db, DbError};
use common::role::{Role, RoleGrant};
use http_server::accounts::{Account as SignedIn, Accounts, NotSignedIn};
use http_server::{Problem, caller};
use service_runtime::exit::Failure;
use uuid::Uuid;

pub(crate) use self::limits::Limits;
pub(crate) use self::passwords::Passwords;
pub(crate) use self::resets::{Resets, WaitingResets};
use crate::config::AccountsConfig;
use crate::error::ApiError;

/// What the handlers of accounts share.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) access_tokens: Arc<AccessTokens>,
    pub(crate) passwords: Passwords,
    pub(crate) limits: Arc<Limits>,
    pub(crate) resets: Resets,
    pub(crate) refresh_grace: Duration,
    pub(crate) terms: Option<TermsVersion>,
}

/// The accounts, as the gate asks for them. Each request looks at the database, so that a role that was taken away or an
/// account that was blocked counts at once, on every replica.
pub(crate) struct VerifiedAccounts {
    db: Db,
    access_tokens: Arc<AccessTokens>,
}

impl Parts {
    /// Reads the keys of access tokens, or creates the first one. The requests for new passwords that the handlers take come
    /// out at the other end.
    pub(crate) async fn new(
        config: &AccountsConfig,
        db: &Db,
        limit: Duration,
    ) -> Result<(Self, WaitingResets), DbError> {
        let keys = match config.signing_keys.is_empty() {
            true => {
                let reading = async || signing_keys::stored(db).await;
                at_the_start(limit, DbError::is_transient, reading).await?
            }
            false => config.signing_keys.clone(),
        };
        let (resets, waiting) = resets::queue();
        let parts = Self {
            access_tokens: Arc::new(AccessTokens::new(&keys, &config.issuer, config.access_token)),
            passwords: Passwords::new(),
            limits: Arc::new(Limits::new(config.rate_per_minute)),
            resets,
            refresh_grace: config.refresh_grace,
            terms: config.terms.clone(),
        };
        Ok((parts, waiting))
    }

    /// The accounts for the gate.
    pub(crate) fn verified(&self, db: &Db) -> VerifiedAccounts {
        VerifiedAccounts { db: db.clone(), access_tokens: Arc::clone(&self.access_tokens) }
    }
}

#[async_trait]
impl Accounts for VerifiedAccounts {
    async fn verify(&self, access_token: &str) -> Result<SignedIn, NotSignedIn> {
        let claims = self.access_tokens.verify(access_token).map_err(|_| NotSignedIn::Refused)?;
        let (account, sign_in) = (claims.sub, claims.sid);
        let roles = self.db.read(async move |tx| sign_ins::roles(tx, account, sign_in).await).await;
        let roles = roles.map_err(|error| {
            tracing::warn!(%error, "an access token cannot be verified");
            NotSignedIn::Unavailable
        })?;
        Ok(SignedIn { id: account, sign_in, roles: roles.ok_or(NotSignedIn::Refused)? })
    }
}

/// The account that is signed in. The gate has admitted it by a permission that no key has.
pub(crate) fn signed_in(request: &actix_web::HttpRequest) -> Result<SignedIn, Problem> {
    caller(request).account.ok_or_else(|| Problem::internal("this route admits keys too"))
}

/// Creates the first administrator, if there is none and the settings name one.
pub(crate) async fn first_admin(config: &AccountsConfig, db: &Db, limit: Duration) -> Result<(), Failure> {
    let Some((username, password)) = &config.admin else { return Ok(()) };
    let creating = async || create_admin(db, username, password).await;
    match at_the_start(limit, ApiError::is_transient, creating).await {
        Ok(Some(account)) => tracing::info!(account = %account.id, "created the first administrator"),
        Ok(None) => {}
        Err(error) => {
            let why = error.problem().detail().to_owned();
            return Err(Failure::broken(format!("the first administrator cannot be created: {why}")));
        }
    }
    Ok(())
}

async fn create_admin(
    db: &Db,
    username: &Username,
    password: &Password,
) -> Result<Option<Account>, ApiError> {
    if db.read(async |tx| roles::admins(tx).await).await? > 0 {
        return Ok(None);
    }
    let hash = password.hash().map_err(|error| Problem::internal(error.to_string()))?;
    db.write(async |tx| {
        // Two replicas may start at once: one waits here for the other.
        locks::hold(tx, Lock::Administrators).await?;
        if roles::admins(tx).await? > 0 {
            return Ok(None);
        }
        let new = NewAccount {
            username: username.clone(),
            password: hash.clone(),
            language: Language::En,
            terms: None,
        };
        let account = accounts::create(tx, &new).await?;
        roles::set(tx, account.id, &[RoleGrant { role: Role::Admin, location_ids: None }]).await?;
        Ok(Some(account))
    })
    .await
}

/// An account with its roles, as every sign-in returns it.
#[derive(serde::Serialize, utoipa::ToSchema)]
#[schema(as = SignedInUser)]
pub(crate) struct UserView {
    id: Uuid,
    username: String,
    /// The verified address
    #[schema(required)]
    email: Option<String>,
    roles: Vec<RoleGrant>,
}

impl UserView {
    pub(crate) fn of(account: &Account, roles: Vec<RoleGrant>) -> Self {
        let (id, username) = (account.id, account.username.clone());
        Self { id, username, email: account.email.clone(), roles }
    }
}
