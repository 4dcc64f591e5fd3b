//! `/api/v1/users`: all accounts. Staff see the accounts that work at their sites.

use actix_web::web::{Data, Path, Payload, delete, get, patch};
use actix_web::{HttpRequest, HttpResponse};
use charging::accounts::audit::{self, Act};
use charging::accounts::{self, Account, AccountStatus, Filter, Language, Reason, erasure, roles};
use charging::core_sync::{self, Subject};
use charging::{At, Db, Tx};
use common::role::{Role, RoleGrant};
use http_server::openapi::refusals::{
    BodyTooLarge, BodyTooSlow, Conflict, Invalid, NotFound, Unavailable, UnsupportedMediaType,
};
use http_server::{Access, Query, Resource, body, caller, input, resource};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::answer;
use crate::auth::MAX_BODY;
use crate::error::{Answer, ApiError};
use crate::live::Live;
use crate::me::erasure::ErasedView;
use crate::paging::ById;
use crate::patch::{not_found, path_id};
use crate::permissions::{self, Reach, actor};

pub(crate) fn resources() -> Vec<Resource> {
    const SEE: Access = Access::Granted(permissions::SEE_USERS);
    const EDIT: Access = Access::Granted(permissions::EDIT_USERS);
    vec![
        resource("/api/v1/users", &[("GET", SEE)]).route(get().to(list)),
        resource("/api/v1/users/{user_id:[^/]*}", &[("GET", SEE), ("PATCH", EDIT), ("DELETE", EDIT)])
            .without_query()
            .route(get().to(show))
            .route(patch().to(change))
            .route(delete().to(erase)),
    ]
}

/// A page of accounts
#[derive(Serialize, ToSchema)]
#[schema(as = Users)]
pub(crate) struct UserPage {
    items: Vec<UserView>,
    /// The cursor of the next page; null at the end
    #[schema(required)]
    cursor: Option<String>,
}

/// An account
#[derive(Serialize, ToSchema)]
#[schema(as = User)]
pub(crate) struct UserView {
    id: Uuid,
    username: String,
    /// The verified address for mail
    #[schema(required)]
    email: Option<String>,
    #[schema(required)]
    name: Option<String>,
    language: Language,
    roles: Vec<RoleGrant>,
    status: AccountStatus,
    /// Why it has this status
    #[schema(required)]
    reason: Option<String>,
    /// Whether signing in needs a one-time password too
    second_factor: bool,
    created_at: At,
    updated_at: At,
}

/// A change of an account
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserChange {
    /// All its roles. That of a driver remains in any case
    roles: Option<Vec<RoleGrant>>,
    status: Option<AccountStatus>,
    /// Why, for the audit trail
    reason: Option<Reason>,
}

/// Why an account is erased
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ErasureReason {
    /// Why, for the audit trail, where it stays: without names
    reason: Reason,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct UserQuery {
    /// Accounts whose name or verified address begins so
    #[param(max_length = 254)]
    q: Option<String>,
    /// Accounts with this role
    #[serde(default, deserialize_with = "input::optional")]
    #[param(inline)]
    role: Option<Role>,
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    limit: Option<String>,
    /// The cursor of the previous page
    #[param(pattern = "^[A-Za-z0-9_-]*$")]
    cursor: Option<String>,
}

impl UserView {
    async fn read(tx: &mut Tx, account: Account) -> Result<Self, ApiError> {
        let roles = roles::of(tx, account.id).await?;
        Ok(Self {
            id: account.id,
            username: account.username,
            email: account.email,
            name: account.name,
            language: account.language,
            roles,
            status: account.status,
            reason: account.status_reason,
            second_factor: account.totp_confirmed,
            created_at: account.created_at,
            updated_at: account.updated_at,
        })
    }

    /// Whether one of its roles holds at a place that is reached.
    fn is_within(&self, reach: &Reach) -> bool {
        let mut places = self.roles.iter().filter_map(|grant| grant.location_ids.as_ref()).flatten();
        *reach == Reach::Everywhere || places.any(|place| reach.covers(Some(*place)))
    }
}

/// List accounts
#[utoipa::path(get, path = "/api/v1/users", operation_id = "list_users", tag = "users", params(UserQuery),
    responses((status = 200, description = "A page of accounts", body = UserPage), Invalid, Unavailable))]
pub(crate) async fn list(db: Data<Db>, Query(query): Query<UserQuery>, request: HttpRequest) -> Answer {
    let reach = Reach::of(&caller(&request), permissions::SEE_USERS);
    let page = ById::ascending(query.limit.as_deref(), query.cursor.as_deref())?;
    let filter =
        Filter { prefix: query.q.filter(|text| !text.is_empty()), role: query.role, at: reach.places() };
    let (items, cursor) = db
        .read(async |tx| {
            let mut found = accounts::list(tx, &filter, page.from, page.one_more()).await?;
            let cursor = page.cut(&mut found, |last| last.id);
            let mut items = Vec::new();
            for account in found {
                items.push(UserView::read(tx, account).await?);
            }
            Ok::<_, ApiError>((items, cursor))
        })
        .await?;
    Ok(HttpResponse::Ok().json(UserPage { items, cursor }))
}

/// An account
#[utoipa::path(get, path = "/api/v1/users/{user_id}", operation_id = "get_user", tag = "users",
    params(("user_id" = Uuid, Path, description = "The account's id")),
    responses((status = 200, description = "The account", body = UserView,
        headers(("ETag" = String, description = "Its version"))), NotFound, Unavailable))]
pub(crate) async fn show(db: Data<Db>, path: Path<String>, request: HttpRequest) -> Answer {
    let id = path_id(&path)?;
    let reach = Reach::of(&caller(&request), permissions::SEE_USERS);
    let (version, view) = db.read(async |tx| read(tx, id).await).await?;
    if !view.is_within(&reach) {
        return Err(not_found().into());
    }
    Ok(answer::document(version, &view))
}

/// Change an account
///
/// Roles and blocks count from the next request on. A blocked account is signed out everywhere, and its tokens are blocked.
#[utoipa::path(patch, path = "/api/v1/users/{user_id}", operation_id = "change_user", tag = "users",
    request_body = UserChange, params(("user_id" = Uuid, Path, description = "The account's id")),
    responses((status = 200, description = "The account", body = UserView,
        headers(("ETag" = String, description = "Its new version"))),
        Invalid, NotFound, Conflict, BodyTooLarge, BodyTooSlow, UnsupportedMediaType, Unavailable))]
pub(crate) async fn change(
    db: Data<Db>,
    live: Data<Live>,
    path: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Answer {
    let body = body::read(&request, payload, MAX_BODY).await?;
    let id = path_id(&path)?;
    let actor = actor(&caller(&request));
    let (version, view) = db
        .write(async |tx| {
            accounts::find(tx, id).await?.ok_or_else(not_found)?;
            let change: UserChange = body::document(&body)?;
            apply(tx, id, &change, &actor).await?;
            read(tx, id).await
        })
        .await?;
    live.wake();
    Ok(answer::document(version, &view))
}

/// Erase an account
///
/// Everything goes that law does not keep, and the name is free again. What is open must be settled first: `field` names it.
#[utoipa::path(delete, path = "/api/v1/users/{user_id}", operation_id = "erase_user", tag = "users",
    request_body = ErasureReason, params(("user_id" = Uuid, Path, description = "The account's id")),
    responses((status = 200, description = "The account is erased", body = ErasedView),
        Invalid, NotFound, Conflict, BodyTooLarge, BodyTooSlow, UnsupportedMediaType, Unavailable))]
pub(crate) async fn erase(
    db: Data<Db>,
    live: Data<Live>,
    path: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Answer {
    let body = body::read(&request, payload, MAX_BODY).await?;
    let id = path_id(&path)?;
    let actor = actor(&caller(&request));
    db.write(async |tx| {
        accounts::find(tx, id).await?.ok_or_else(not_found)?;
        let ErasureReason { reason } = body::document(&body)?;
        Ok::<_, ApiError>(erasure::erase(tx, id, &actor, Some(reason.as_str())).await?)
    })
    .await?;
    live.wake();
    Ok(HttpResponse::Ok().json(ErasedView::DONE))
}

async fn apply(tx: &mut Tx, id: Uuid, change: &UserChange, actor: &str) -> Result<(), ApiError> {
    let reason = change.reason.as_ref().map(Reason::as_str);
    let act = |action, data| Act { actor, action, subject: "account", subject_id: id, reason, data };
    if let Some(roles) = &change.roles {
        let before = roles::of(tx, id).await?;
        roles::set(tx, id, roles).await?;
        audit::write(tx, &act("account.roles", json!({"before": before, "after": roles}))).await?;
    }
    if let Some(status) = change.status {
        accounts::set_status(tx, id, status, reason).await?;
        core_sync::attribute(tx, Subject::Account(id), actor).await?;
        audit::write(tx, &act("account.status", json!({"status": status}))).await?;
    }
    Ok(())
}

async fn read(tx: &mut Tx, id: Uuid) -> Result<(i64, UserView), ApiError> {
    let account = accounts::find(tx, id).await?.ok_or_else(not_found)?;
    Ok((account.version, UserView::read(tx, account).await?))
}
