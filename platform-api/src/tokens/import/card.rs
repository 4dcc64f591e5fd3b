//! One token of an import: what its line says, and how it is applied.

use charging::accounts::{self, Username};
use charging::tokens::{
    self, BindCode, IdTag, Token, TokenDraft, TokenStatus, TokenTerms, TokenType, TokenUid, Whitelist, groups,
};
use charging::{At, Tx};
use common::ids::DriverToken;
use http_server::{Problem, input};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use crate::error::ApiError;
use crate::network::Count;
use crate::patch::QueryId;

/// A line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Card {
    id_tag: Option<IdTag>,
    uid: Option<TokenUid>,
    driver_token: Option<DriverToken>,
    #[serde(rename = "type")]
    kind: Option<TokenType>,
    status: Option<TokenStatus>,
    whitelist: Option<Whitelist>,
    expires_at: Option<At>,
    parent_id_tag: Option<IdTag>,
    #[serde(default, deserialize_with = "input::optional")]
    user_id: Option<QueryId>,
    username: Option<Username>,
    bind_code: Option<bool>,
    #[serde(default, deserialize_with = "input::optional")]
    printed_code: Option<BindCode>,
}

/// What became of a token.
pub(super) struct Applied {
    pub(super) count: Count,
    pub(super) token: Uuid,
    /// The code that was issued.
    pub(super) code: Option<BindCode>,
}

/// Applies a line in a transaction.
pub(super) async fn apply(
    tx: &mut Tx,
    document: &Value,
    with_codes: bool,
    actor: &str,
) -> Result<Applied, ApiError> {
    let card: Card = input::document(document)?;
    if card.bind_code == Some(true) && !with_codes {
        let detail = "too many codes for one import; send the rest in another one";
        return Err(Problem::invalid("bind_code", detail).into());
    }
    card.apply(tx, actor).await
}

impl Card {
    async fn apply(&self, tx: &mut Tx, actor: &str) -> Result<Applied, ApiError> {
        let user_id = self.account(tx).await?;
        if let Some(group) = &self.parent_id_tag {
            groups::named_or_new(tx, group).await?;
        }
        let before = match (&self.id_tag, &self.uid) {
            (Some(tag), _) => tokens::by_id_tag(tx, tag).await?,
            (None, Some(uid)) => tokens::by_uid(tx, uid).await?,
            (None, None) => return Err(Problem::invalid("id_tag", "expected an id tag or a uid").into()),
        };
        let applied = match before {
            None => self.create(tx, user_id, actor).await?,
            Some(before) => self.change(tx, &before, user_id, actor).await?,
        };
        let Some(code) = &self.printed_code else { return Ok(applied) };
        let token = tokens::find(tx, applied.token).await?;
        // The code of a card that is bound already has been used.
        if token.is_some_and(|token| token.terms.user_id.is_none()) {
            tokens::set_code(tx, applied.token, code).await?;
        }
        Ok(applied)
    }

    async fn create(&self, tx: &mut Tx, user_id: Option<Uuid>, actor: &str) -> Result<Applied, ApiError> {
        let draft = TokenDraft {
            kind: self.kind,
            uid: self.uid.clone(),
            driver_token: self.driver_token.clone(),
            id_tag: self.id_tag.clone(),
            status: self.status,
            whitelist: self.whitelist,
            expires_at: self.expires_at,
            group: self.parent_id_tag.clone(),
            user_id,
            bind_code: self.bind_code,
        };
        let (token, code) = tokens::create(tx, &draft, Some(actor)).await?;
        Ok(Applied { count: Count::Created, token: token.id, code })
    }

    async fn change(
        &self,
        tx: &mut Tx,
        before: &Token,
        user_id: Option<Uuid>,
        actor: &str,
    ) -> Result<Applied, ApiError> {
        if self.uid.as_ref().is_some_and(|uid| !uid.is_same(&before.uid)) {
            return Err(Problem::conflict("uid", "the token with this id tag has another uid").into());
        }
        if self.kind.is_some_and(|kind| kind != before.kind) {
            return Err(Problem::conflict("type", "the token is of another type").into());
        }
        let old = &before.terms;
        let same_group = |group: &IdTag| old.group.as_ref().is_some_and(|old| old.is_same(group));
        let terms = TokenTerms {
            status: self.status.unwrap_or(old.status),
            whitelist: self.whitelist.unwrap_or(old.whitelist),
            expires_at: self.expires_at.or(old.expires_at),
            group: self
                .parent_id_tag
                .clone()
                .filter(|group| !same_group(group))
                .or_else(|| old.group.clone()),
            user_id: user_id.or(old.user_id),
            fleet_id: old.fleet_id,
        };
        let driver_token = self.driver_token.as_ref().unwrap_or(&before.driver_token);
        let (token, code) = (before.id, None);
        if terms == *old && *driver_token == before.driver_token {
            return Ok(Applied { count: Count::Unchanged, token, code });
        }
        tokens::update(tx, before, driver_token, &terms, Some(actor)).await?;
        Ok(Applied { count: Count::Changed, token, code })
    }

    async fn account(&self, tx: &mut Tx) -> Result<Option<Uuid>, ApiError> {
        match (&self.user_id, &self.username) {
            (Some(_), Some(_)) => {
                Err(Problem::invalid("username", "expected either user_id or username").into())
            }
            (Some(id), None) => Ok(Some(id.0)),
            (None, Some(name)) => {
                let found = accounts::by_login(tx, name.as_str()).await?;
                let unknown = || Problem::conflict("username", "there is no account with this name");
                Ok(Some(found.ok_or_else(unknown)?.id))
            }
            (None, None) => Ok(None),
        }
    }
}
