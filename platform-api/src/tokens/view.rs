//! A token, as it is shown.

use charging::At;
use charging::tokens::{IdTag, Token, TokenStatus, TokenType, TokenUid, Whitelist};
use common::ids::DriverToken;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// A page of tokens
#[derive(Serialize, ToSchema)]
#[schema(as = Tokens)]
pub(crate) struct TokenPage {
    pub(crate) items: Vec<TokenView>,
    /// The cursor of the next page; null at the end
    #[schema(required)]
    pub(crate) cursor: Option<String>,
}

/// A token: what a driver shows to be let in
#[derive(Serialize, ToSchema)]
#[schema(as = Token)]
pub(crate) struct TokenView {
    id: Uuid,
    #[serde(rename = "type")]
    kind: TokenType,
    /// Its name in OCPI
    uid: TokenUid,
    /// Its name in the access lists
    driver_token: DriverToken,
    /// Its name in OCPP
    #[schema(required)]
    id_tag: Option<IdTag>,
    /// Whether it counts; `blocked` also while its account is blocked
    status: TokenStatus,
    whitelist: Whitelist,
    /// When it expires
    #[schema(required)]
    expires_at: Option<At>,
    /// The name of its group, the parent id tag
    #[schema(required)]
    group: Option<IdTag>,
    /// The account that it belongs to
    #[schema(required)]
    user_id: Option<Uuid>,
    /// The fleet that pays for it
    #[schema(required)]
    fleet_id: Option<Uuid>,
    created_at: At,
    updated_at: At,
}

impl TokenView {
    pub(crate) fn of(token: &Token) -> Self {
        let terms = &token.terms;
        Self {
            id: token.id,
            kind: token.kind,
            uid: token.uid.clone(),
            driver_token: token.driver_token.clone(),
            id_tag: token.id_tag.clone(),
            status: token.status(At::now()),
            whitelist: terms.whitelist,
            expires_at: terms.expires_at,
            group: terms.group.clone(),
            user_id: terms.user_id,
            fleet_id: terms.fleet_id,
            created_at: token.created_at,
            updated_at: token.updated_at,
        }
    }
}
