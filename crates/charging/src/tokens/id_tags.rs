//! The OCPP face of tokens: an id tag with what `idTagInfo` says of it. `Invalid` is a tag without a row.

use common::ids::DriverToken;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::changes::{self, TokenTerms};
use super::{IdTag, Token, TokenDraft, TokenStatus, Whitelist, by_id_tag, groups};
use crate::accounts::AccountError;
use crate::db::{At, Tx, words};
use crate::stations::id;

words! {
    /// What a charger is answered (OCPP 1.6 `AuthorizationStatus`)
    pub enum IdTagStatus {
        /// It is active.
        Accepted = "Accepted",
        /// It, or its account, is blocked.
        Blocked = "Blocked",
        /// It has expired.
        Expired = "Expired",
        /// There is no such tag.
        Invalid = "Invalid",
    }
}

/// An id tag, as an operator writes it
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct IdTagDraft {
    /// What a charger is answered; `Accepted` unless given. `Invalid` deletes the tag
    pub status: Option<IdTagStatus>,
    /// When it expires
    pub expires_at: Option<At>,
    /// The tag of its group, which is created if there is none
    pub parent_id_tag: Option<IdTag>,
    /// When a charger may accept it without asking; `never` unless given
    pub whitelist: Option<Whitelist>,
    /// The account that it belongs to
    #[serde(default, deserialize_with = "id::optional")]
    pub user_id: Option<Uuid>,
    /// Its name in the access lists; the present or a random one unless given
    pub driver_token: Option<DriverToken>,
}

/// What a replacement has done.
#[derive(Debug)]
pub enum Put {
    /// The tag is new.
    Created(Box<Token>),
    /// It was there before.
    Replaced(Box<Token>),
    /// It was deleted, or was not there.
    Deleted,
}

impl From<TokenStatus> for IdTagStatus {
    fn from(status: TokenStatus) -> Self {
        match status {
            TokenStatus::Active => Self::Accepted,
            TokenStatus::Blocked => Self::Blocked,
            TokenStatus::Expired => Self::Expired,
        }
    }
}

/// Creates a tag, or replaces what an operator wrote of it. Its uid stays.
///
/// # Errors
/// Returns an error if what it refers to does not exist, its driver token is taken, or the database cannot be used.
pub async fn put(
    tx: &mut Tx,
    tag: &IdTag,
    draft: &IdTagDraft,
    actor: Option<&str>,
) -> Result<Put, AccountError> {
    let before = by_id_tag(tx, tag).await?;
    let status = match draft.status {
        None | Some(IdTagStatus::Accepted) => TokenStatus::Active,
        Some(IdTagStatus::Blocked) => TokenStatus::Blocked,
        Some(IdTagStatus::Expired) => TokenStatus::Expired,
        Some(IdTagStatus::Invalid) => {
            if let Some(before) = before {
                changes::remove(tx, &before, actor).await?;
            }
            return Ok(Put::Deleted);
        }
    };
    if let Some(group) = &draft.parent_id_tag {
        groups::named_or_new(tx, group).await?;
    }
    let whitelist = draft.whitelist.unwrap_or(Whitelist::Never);
    match before {
        None => {
            let draft = TokenDraft {
                kind: None,
                uid: None,
                driver_token: draft.driver_token.clone(),
                id_tag: Some(tag.clone()),
                status: Some(status),
                whitelist: Some(whitelist),
                expires_at: draft.expires_at,
                group: draft.parent_id_tag.clone(),
                user_id: draft.user_id,
                bind_code: None,
            };
            let (token, _) = super::create(tx, &draft, actor).await?;
            Ok(Put::Created(Box::new(token)))
        }
        Some(before) => {
            let terms = TokenTerms {
                status,
                whitelist,
                expires_at: draft.expires_at,
                group: draft.parent_id_tag.clone(),
                user_id: draft.user_id,
                fleet_id: before.terms.fleet_id,
            };
            let driver_token = draft.driver_token.as_ref().unwrap_or(&before.driver_token);
            let after = changes::update(tx, &before, driver_token, &terms, actor).await?;
            Ok(Put::Replaced(Box::new(after)))
        }
    }
}
