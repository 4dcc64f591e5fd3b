//! Tokens: what drivers show to be let in. Each has three names, which are never mixed up, and is OCPP's id tag too.

pub mod bind_code;
pub mod changes;
pub mod groups;
pub mod id_tags;
pub mod members;
mod names;
pub(crate) mod personal;
mod words;

use common::ids::DriverToken;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

pub use self::bind_code::BindCode;
pub use self::changes::{TokenTerms, bind, issue_code, remove, set_code, set_fleet, set_own_status, update};
pub use self::groups::Group;
pub use self::members::{Member, erase};
pub use self::names::{IdTag, TokenUid, random_driver_token};
pub use self::personal::StoredToken;
pub(crate) use self::personal::stored;
pub use self::words::{BlockedBy, TokenStatus, TokenType, Whitelist};
use crate::accounts::{self, AccountError};
use crate::core_sync::{self, Subject};
use crate::db::{At, DbError, Tx, on, row, statements};
use crate::events::{self, Happened};
use crate::stations::id;

macro_rules! select {
    ($which:literal) => {
        concat!(
            "SELECT t.id, t.account_id, t.fleet_id, t.type AS kind, t.uid, t.driver_token, t.id_tag, t.status, t.blocked_by, \
             t.owner_blocked, t.whitelist, t.expires_at, t.version, t.created_at, t.updated_at, g.name AS group_name \
             FROM tokens t LEFT JOIN token_groups g ON g.id = t.group_id WHERE ",
            $which
        )
    };
}

/// The most selective condition comes first, so that its index is used.
macro_rules! list {
    ($first:literal) => {
        concat!(
            select!("t.id > $1 AND "),
            $first,
            " AND (t.account_id = $3 OR $3 IS NULL) AND (t.fleet_id = $4 OR $4 IS NULL) AND (g.name_key = $5 OR $5 = '') \
             AND ($6 = '' OR t.uid_key LIKE $6 ESCAPE '!' OR t.id_tag_key LIKE $6 ESCAPE '!') ORDER BY t.id LIMIT $2"
        )
    };
}

statements! {
    INSERT = "INSERT INTO tokens (id, account_id, group_id, type, uid, uid_key, driver_token, id_tag, id_tag_key, status, \
              blocked_by, owner_blocked, whitelist, expires_at, version, created_at, updated_at) \
              VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 1, $15, $15)";
    FIND = select!("t.id = $1");
    BY_ID_TAG = select!("t.id_tag_key = $1");
    BY_UID = select!("t.uid_key = $1");
    LIST = list!("t.id IS NOT NULL");
    WITH_ID_TAG = list!("t.id_tag IS NOT NULL");
    OF_ACCOUNT = list!("t.account_id = $3");
    OF_FLEET = list!("t.fleet_id = $4");
    OF_GROUP = list!("t.group_id = (SELECT id FROM token_groups WHERE name_key = $5)");
    COUNT = "SELECT COUNT(*) FROM tokens WHERE account_id = $1 AND type = $2";
    OWNER_CHANGED = "UPDATE tokens SET owner_blocked = $2, version = version + 1, updated_at = $3 \
                     WHERE account_id = $1 AND owner_blocked <> $2";
}

/// How many tokens of the type `APP_USER` an account may have.
pub const MAX_APP_TOKENS: i64 = 20;

/// A new token.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
#[schema(as = TokenDraft)]
pub struct TokenDraft {
    /// Its type; `RFID` unless given
    #[serde(rename = "type")]
    pub kind: Option<TokenType>,
    /// Its name in OCPI, such as the serial number of a card; the id tag unless given
    pub uid: Option<TokenUid>,
    /// Its name in the access lists; a random one unless given
    pub driver_token: Option<DriverToken>,
    /// Its name in OCPP; the uid unless given, if that is short enough
    pub id_tag: Option<IdTag>,
    /// Whether it counts; `active` unless given
    pub status: Option<TokenStatus>,
    /// When a charger may accept it without asking; `never` unless given
    pub whitelist: Option<Whitelist>,
    /// When it expires
    pub expires_at: Option<At>,
    /// The name of its group, the parent id tag
    pub group: Option<IdTag>,
    /// The account that it belongs to
    #[serde(default, deserialize_with = "id::optional")]
    pub user_id: Option<Uuid>,
    /// Whether a code is issued, to be printed on the card: who has it binds the card to an account
    pub bind_code: Option<bool>,
}

/// A token, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its id.
    pub id: Uuid,
    /// What it is.
    pub kind: TokenType,
    /// Its name in OCPI.
    pub uid: TokenUid,
    /// Its name in the access lists.
    pub driver_token: DriverToken,
    /// Its name in OCPP.
    pub id_tag: Option<IdTag>,
    /// What an operator may change.
    pub terms: TokenTerms,
    /// Who has blocked it, if it is blocked.
    pub blocked_by: Option<BlockedBy>,
    /// Whether its account is blocked.
    pub owner_blocked: bool,
    /// Raised by each change; the ETag.
    pub version: i64,
    /// When it was created.
    pub created_at: At,
    /// When it was last changed.
    pub updated_at: At,
}

/// Which tokens a list contains.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Those of this account.
    pub account: Option<Uuid>,
    /// Those that are charged to this fleet.
    pub fleet: Option<Uuid>,
    /// Those of the group with this name.
    pub group: Option<IdTag>,
    /// Those whose uid or id tag begins so.
    pub prefix: Option<String>,
    /// Those with an id tag only, where the list is of all tokens.
    pub with_id_tag: bool,
}

row! {
    struct Stored {
        id: Uuid,
        account_id: Option<Uuid>,
        fleet_id: Option<Uuid>,
        kind: TokenType,
        uid: String,
        driver_token: String,
        id_tag: Option<String>,
        status: TokenStatus,
        blocked_by: Option<BlockedBy>,
        owner_blocked: bool,
        whitelist: Whitelist,
        expires_at: Option<At>,
        version: i64,
        created_at: At,
        updated_at: At,
        group_name: Option<String>,
    }
}

impl Token {
    /// The status that counts at this moment.
    pub fn status(&self, now: At) -> TokenStatus {
        let terms = &self.terms;
        if self.owner_blocked || terms.status == TokenStatus::Blocked {
            TokenStatus::Blocked
        } else if terms.status == TokenStatus::Expired || terms.expires_at.is_some_and(|end| end <= now) {
            TokenStatus::Expired
        } else {
            TokenStatus::Active
        }
    }
}

impl TryFrom<Stored> for Token {
    type Error = DbError;

    fn try_from(stored: Stored) -> Result<Self, DbError> {
        Ok(Self {
            id: stored.id,
            kind: stored.kind,
            uid: read("uid", &stored.uid)?,
            driver_token: DriverToken::parse(&stored.driver_token).map_err(|_| unreadable("driver_token"))?,
            id_tag: stored.id_tag.map(|tag| read("id_tag", &tag)).transpose()?,
            terms: TokenTerms {
                status: stored.status,
                whitelist: stored.whitelist,
                expires_at: stored.expires_at,
                group: stored.group_name.map(|name| read("name", &name)).transpose()?,
                user_id: stored.account_id,
                fleet_id: stored.fleet_id,
            },
            blocked_by: stored.blocked_by,
            owner_blocked: stored.owner_blocked,
            version: stored.version,
            created_at: stored.created_at,
            updated_at: stored.updated_at,
        })
    }
}

/// Creates a token, for an operator. Returns its code too, if one was asked for.
///
/// # Errors
/// Returns an error if a name is missing or taken, the group or the account does not exist, or the database cannot be used.
pub async fn create(
    tx: &mut Tx,
    draft: &TokenDraft,
    actor: Option<&str>,
) -> Result<(Token, Option<BindCode>), AccountError> {
    let uid = draft.uid.clone().or_else(|| draft.id_tag.as_ref()?.expose().parse().ok());
    let uid = uid.ok_or_else(|| AccountError::refused("uid", "expected a uid or an id tag"))?;
    let id_tag = draft.id_tag.clone().or_else(|| uid.expose().parse().ok());
    let with_code = draft.bind_code == Some(true);
    if with_code && draft.user_id.is_some() {
        return Err(AccountError::refused("bind_code", "a token with an account needs no code"));
    }
    let new = NewToken {
        kind: draft.kind.unwrap_or(TokenType::Rfid),
        uid,
        driver_token: draft.driver_token.clone().map_or_else(random_driver_token, Ok)?,
        id_tag,
        status: draft.status.unwrap_or(TokenStatus::Active),
        whitelist: draft.whitelist.unwrap_or(Whitelist::Never),
        expires_at: draft.expires_at,
    };
    let owner_blocked = owner_blocked(tx, draft.user_id).await?;
    let group = changes::group_id(tx, draft.group.as_ref()).await?;
    let token = insert(tx, &new, draft.user_id, owner_blocked, group, actor).await?;
    let code = if with_code { Some(issue_code(tx, token.id).await?) } else { None };
    Ok((token, code))
}

/// Creates a token of the type `APP_USER` with random names for an account, at the wish of its owner.
///
/// # Errors
/// Returns an error if the account has [`MAX_APP_TOKENS`] or is gone, or the database cannot be used.
pub async fn create_app_token(
    tx: &mut Tx,
    account: Uuid,
    actor: Option<&str>,
) -> Result<Token, AccountError> {
    let owner_blocked = owner_blocked(tx, Some(account)).await?;
    let (count,): (i64,) =
        on!(tx, |c| sqlx::query_as(COUNT).bind(account).bind(TokenType::AppUser).fetch_one(c).await)
            .map_err(DbError::from)?;
    if count >= MAX_APP_TOKENS {
        let detail = format!("an account has at most {MAX_APP_TOKENS} of them");
        return Err(AccountError::conflict("type", detail));
    }
    let new = NewToken {
        kind: TokenType::AppUser,
        uid: TokenUid::random()?,
        driver_token: random_driver_token()?,
        id_tag: Some(IdTag::random()?),
        status: TokenStatus::Active,
        whitelist: Whitelist::Never,
        expires_at: None,
    };
    insert(tx, &new, Some(account), owner_blocked, None, actor).await
}

/// A token whose names are known.
struct NewToken {
    kind: TokenType,
    uid: TokenUid,
    driver_token: DriverToken,
    id_tag: Option<IdTag>,
    status: TokenStatus,
    whitelist: Whitelist,
    expires_at: Option<At>,
}

async fn insert(
    tx: &mut Tx,
    new: &NewToken,
    account: Option<Uuid>,
    owner_blocked: bool,
    group: Option<Uuid>,
    actor: Option<&str>,
) -> Result<Token, AccountError> {
    let (id, now) = (Uuid::now_v7(), At::now());
    let blocked_by = (new.status == TokenStatus::Blocked).then_some(BlockedBy::Operator);
    let inserted = on!(tx, |c| {
        let query = sqlx::query(INSERT).bind(id).bind(account).bind(group).bind(new.kind);
        let query = query.bind(new.uid.expose()).bind(new.uid.key()).bind(new.driver_token.expose());
        let query =
            query.bind(new.id_tag.as_ref().map(IdTag::expose)).bind(new.id_tag.as_ref().map(IdTag::key));
        let query = query.bind(new.status).bind(blocked_by).bind(owner_blocked).bind(new.whitelist);
        query.bind(new.expires_at).bind(now).execute(c).await.map(drop)
    });
    inserted.map_err(|error| changes::taken(error.into()))?;
    core_sync::note(tx, Subject::Token(&new.driver_token), actor).await?;
    happened(tx, "account.token_created", id, account).await?;
    find(tx, id).await?.ok_or(AccountError::NotFound)
}

/// The token with this id.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn find(tx: &mut Tx, id: Uuid) -> Result<Option<Token>, DbError> {
    let found: Option<Stored> = on!(tx, |c| sqlx::query_as(FIND).bind(id).fetch_optional(c).await)?;
    found.map(Token::try_from).transpose()
}

/// The token with this name in OCPP.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn by_id_tag(tx: &mut Tx, tag: &IdTag) -> Result<Option<Token>, DbError> {
    let found: Option<Stored> =
        on!(tx, |c| sqlx::query_as(BY_ID_TAG).bind(tag.key()).fetch_optional(c).await)?;
    found.map(Token::try_from).transpose()
}

/// The token with this name in OCPI.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn by_uid(tx: &mut Tx, uid: &TokenUid) -> Result<Option<Token>, DbError> {
    let found: Option<Stored> = on!(tx, |c| sqlx::query_as(BY_UID).bind(uid.key()).fetch_optional(c).await)?;
    found.map(Token::try_from).transpose()
}

/// The tokens after this id, by id.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub async fn list(tx: &mut Tx, filter: &Filter, after: Uuid, limit: i64) -> Result<Vec<Token>, DbError> {
    let statement = match filter {
        Filter { account: Some(_), .. } => OF_ACCOUNT,
        Filter { fleet: Some(_), .. } => OF_FLEET,
        Filter { group: Some(_), .. } => OF_GROUP,
        Filter { with_id_tag: true, .. } => WITH_ID_TAG,
        _ => LIST,
    };
    let group = filter.group.as_ref().map(IdTag::key).unwrap_or_default();
    let prefix = filter.prefix.as_deref().map(accounts::prefix_pattern).unwrap_or_default();
    let found: Vec<Stored> = on!(tx, |c| {
        let query = sqlx::query_as(statement).bind(after).bind(limit).bind(filter.account).bind(filter.fleet);
        query.bind(group.as_str()).bind(prefix.to_uppercase()).fetch_all(c).await
    })?;
    found.into_iter().map(Token::try_from).collect()
}

/// Notes that the tokens of an account count differently now, as the account was blocked or unblocked. The transaction
/// holds the account's row.
///
/// # Errors
/// Returns an error if the database cannot be used.
pub(crate) async fn changed_account(tx: &mut Tx, account: Uuid, is_blocked: bool) -> Result<(), DbError> {
    on!(tx, |c| {
        sqlx::query(OWNER_CHANGED).bind(account).bind(is_blocked).bind(At::now()).execute(c).await.map(drop)
    })?;
    core_sync::note(tx, Subject::Account(account), None).await
}

/// Whether the account is blocked. Its row is held, so that it stays as it is until the end of the transaction.
async fn owner_blocked(tx: &mut Tx, account: Option<Uuid>) -> Result<bool, AccountError> {
    let Some(account) = account else { return Ok(false) };
    let unknown = || AccountError::conflict("user_id", "there is no account with this id");
    if !accounts::take(tx, account).await? {
        return Err(unknown());
    }
    Ok(!accounts::find(tx, account).await?.ok_or_else(unknown)?.is_active())
}

/// Writes an event of a token.
async fn happened(
    tx: &mut Tx,
    routing_key: &'static str,
    token: Uuid,
    account: Option<Uuid>,
) -> Result<(), DbError> {
    let more = json!({"token_id": token, "account_id": account});
    events::write(tx, &Happened { routing_key, station_id: None, location_id: None, more }).await
}

/// What a later release may have stored in another form is shown as a defect, not as something else.
fn read<T: std::str::FromStr>(column: &'static str, text: &str) -> Result<T, DbError> {
    text.parse().map_err(|_| unreadable(column))
}

fn unreadable(column: &'static str) -> DbError {
    DbError::Defect(sqlx::Error::ColumnDecode { index: column.to_owned(), source: "unexpected value".into() })
}
