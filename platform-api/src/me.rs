//! `/api/v1/me`: the own account.

pub(crate) mod erasure;
pub(crate) mod fleets;
pub(crate) mod second_factor;
pub(crate) mod sign_ins;
pub(crate) mod tokens;
pub(crate) mod vehicles;

use actix_web::web::{Data, Payload, delete, get, patch, post};
use actix_web::{HttpRequest, HttpResponse};
use charging::accounts::codes::{self, Purpose};
use charging::accounts::{
    self, Account, Address, Email, Language, Password, Profile, TermsVersion, roles, verification,
};
use charging::{At, Db, Tx};
use common::role::RoleGrant;
use http_server::conditional::IfMatch;
use http_server::openapi::refusals::{
    BodyTooLarge, BodyTooSlow, Conflict, Invalid, PreconditionFailed, PreconditionRequired, Unauthorized,
    Unavailable, UnsupportedMediaType,
};
use http_server::{Access, Problem, Resource, body, resource};
use serde::{Deserialize, Serialize};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use crate::accounts::{Parts, signed_in};
use crate::auth::{MAX_BODY, MessageView};
use crate::error::{Answer, ApiError};
use crate::live::Live;
use crate::openapi::all_optional;
use crate::{answer, patch, permissions};

pub(crate) fn resources() -> Vec<Resource> {
    const OWN: Access = Access::Granted(permissions::OWN_ACCOUNT);
    let me = |path: &str, methods| resource(&format!("/api/v1/me{path}"), methods).without_query();
    let account = vec![
        me("", &[("GET", OWN), ("PATCH", OWN), ("DELETE", OWN)])
            .route(get().to(show))
            .route(patch().to(change))
            .route(delete().to(erasure::erase)),
        me("/export", &[("GET", OWN)]).route(get().to(erasure::export)),
        me("/password", &[("POST", OWN)]).route(post().to(password)),
        me("/terms", &[("POST", OWN)]).route(post().to(terms)),
        me("/sign-ins", &[("GET", OWN), ("DELETE", OWN)])
            .route(get().to(sign_ins::list))
            .route(delete().to(sign_ins::end_others)),
        me("/sign-ins/{sign_in_id:[^/]*}", &[("DELETE", OWN)]).route(delete().to(sign_ins::end)),
        me("/second-factor", &[("POST", OWN)]).route(post().to(second_factor::begin)),
        me("/second-factor/confirm", &[("POST", OWN)]).route(post().to(second_factor::confirm)),
        me("/second-factor/remove", &[("POST", OWN)]).route(post().to(second_factor::remove)),
    ];
    let own = vehicles::resources().into_iter().chain(tokens::resources()).chain(fleets::resources());
    account.into_iter().chain(own).collect()
}

/// The own account
#[derive(Serialize, ToSchema)]
#[schema(as = Me)]
pub(crate) struct MeView {
    id: Uuid,
    username: String,
    /// The verified address for mail
    #[schema(required)]
    email: Option<String>,
    /// The address that a code was sent to, to verify it
    #[schema(required)]
    email_pending: Option<String>,
    #[schema(required)]
    name: Option<String>,
    language: Language,
    #[schema(required)]
    address: Option<Address>,
    roles: Vec<RoleGrant>,
    /// Whether signing in needs a one-time password too
    second_factor: bool,
    /// The version of the terms that was accepted
    #[schema(required)]
    terms_version: Option<String>,
    #[schema(required)]
    terms_at: Option<At>,
    created_at: At,
}

/// A merge patch of the own account
pub(crate) struct ProfileChange;

impl PartialSchema for ProfileChange {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        all_optional(Profile::schema())
    }
}

impl ToSchema for ProfileChange {
    fn schemas(schemas: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::Schema>)>) {
        Profile::schemas(schemas);
    }
}

/// A change of the password
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordChange {
    /// The present password
    #[schema(max_length = 256, format = "password")]
    password: String,
    new_password: Password,
}

/// Acceptance of the terms of use
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TermsAcceptance {
    terms_version: TermsVersion,
}

impl MeView {
    async fn read(tx: &mut Tx, account: Account) -> Result<Self, ApiError> {
        let roles = roles::of(tx, account.id).await?;
        let email_pending = codes::pending(tx, account.id, Purpose::VerifyEmail).await?;
        Ok(Self {
            id: account.id,
            username: account.username,
            email: account.email,
            email_pending,
            name: account.name,
            language: account.language,
            address: account.address.map(|address| address.0),
            roles,
            second_factor: account.totp_confirmed,
            terms_version: account.terms_version,
            terms_at: account.terms_at,
            created_at: account.created_at,
        })
    }
}

/// The own account
#[utoipa::path(get, path = "/api/v1/me", operation_id = "get_me", tag = "me",
    responses((status = 200, description = "The account", body = MeView,
        headers(("ETag" = String, description = "Its version"))), Unavailable))]
pub(crate) async fn show(db: Data<Db>, request: HttpRequest) -> Answer {
    let me = signed_in(&request)?;
    let (version, view) = db
        .read(async |tx| {
            let account = accounts::find(tx, me.id).await?.ok_or_else(gone)?;
            Ok::<_, ApiError>((account.version, MeView::read(tx, account).await?))
        })
        .await?;
    Ok(answer::document(version, &view))
}

/// Change the own account
///
/// A merge patch (RFC 7396). A new address for mail is shown as `email_pending` until its owner has verified it.
#[utoipa::path(patch, path = "/api/v1/me", operation_id = "change_me", tag = "me", request_body = ProfileChange,
    params(("If-Match" = String, Header, description = "The ETag of the version that is changed", example = "\"1\"")),
    responses((status = 200, description = "The account", body = MeView,
        headers(("ETag" = String, description = "Its new version"))),
        Invalid, PreconditionFailed, PreconditionRequired, BodyTooLarge, BodyTooSlow, UnsupportedMediaType, Unavailable))]
pub(crate) async fn change(db: Data<Db>, request: HttpRequest, payload: Payload) -> Answer {
    let body = body::read(&request, payload, MAX_BODY).await?;
    let me = signed_in(&request)?;
    let (version, view) = db
        .write(async |tx| {
            let before = accounts::find(tx, me.id).await?.ok_or_else(gone)?;
            IfMatch::of(&request)?.check(before.version)?;
            let (old, new): (Profile, Profile) =
                (before.profile(), patch::merged(&before.profile(), &body, &[])?);
            if new.email != old.email {
                set_email(tx, &before, new.email.as_ref()).await?;
            }
            let before = accounts::find(tx, me.id).await?.ok_or_else(gone)?;
            let account = match (Profile { email: old.email.clone(), ..new.clone() }) == old {
                true => before,
                false => accounts::update(tx, me.id, before.version, &new).await?,
            };
            Ok::<_, ApiError>((account.version, MeView::read(tx, account).await?))
        })
        .await?;
    Ok(answer::document(version, &view))
}

/// A new address counts once a code that is sent there has come back; none removes the present one.
async fn set_email(tx: &mut Tx, account: &Account, email: Option<&Email>) -> Result<(), ApiError> {
    match email {
        None => {
            codes::cancel(tx, account.id, Purpose::VerifyEmail).await?;
            Ok(accounts::set_email(tx, account.id, None).await?)
        }
        Some(email) => Ok(verification::request_verification(tx, account, email).await?),
    }
}

/// Change the password
///
/// All other sign-ins of the account end.
#[utoipa::path(post, path = "/api/v1/me/password", operation_id = "change_password", tag = "me",
    request_body = PasswordChange, responses((status = 200, description = "The password is changed", body = MessageView),
        Invalid, Unauthorized, BodyTooLarge, BodyTooSlow, UnsupportedMediaType, Unavailable))]
pub(crate) async fn password(
    db: Data<Db>,
    live: Data<Live>,
    parts: Data<Parts>,
    request: HttpRequest,
    payload: Payload,
) -> Answer {
    let body = body::read(&request, payload, MAX_BODY).await?;
    let PasswordChange { password, new_password } = body::document(&body)?;
    let me = signed_in(&request)?;
    let before = confirmed(&db, &parts, &request, password).await?;
    let hash = parts.passwords.hash(new_password).await?;
    db.write(async |tx| {
        let now = accounts::find(tx, me.id).await?.filter(|now| now.password == before.password);
        now.ok_or_else(wrong_password)?;
        Ok::<_, ApiError>(accounts::set_password(tx, me.id, &hash, Some(me.sign_in)).await?)
    })
    .await?;
    live.wake();
    Ok(HttpResponse::Ok().json(MessageView { message: "Password changed" }))
}

/// Accept the terms of use
#[utoipa::path(post, path = "/api/v1/me/terms", operation_id = "accept_terms", tag = "me",
    request_body = TermsAcceptance, responses((status = 200, description = "They are accepted", body = MessageView),
        Invalid, Conflict, BodyTooLarge, BodyTooSlow, UnsupportedMediaType, Unavailable))]
pub(crate) async fn terms(
    db: Data<Db>,
    parts: Data<Parts>,
    request: HttpRequest,
    payload: Payload,
) -> Answer {
    let body = body::read(&request, payload, MAX_BODY).await?;
    let TermsAcceptance { terms_version } = body::document(&body)?;
    let me = signed_in(&request)?;
    if parts.terms.as_ref() != Some(&terms_version) {
        return Err(Problem::conflict("terms_version", "this is not the current version of the terms").into());
    }
    db.write(async |tx| accounts::accept_terms(tx, me.id, &terms_version).await).await?;
    Ok(HttpResponse::Ok().json(MessageView { message: "Terms accepted" }))
}

/// The own account, once its password was entered again. Attempts are slowed down as at sign-in.
pub(crate) async fn confirmed(
    db: &Db,
    parts: &Parts,
    request: &HttpRequest,
    password: String,
) -> Result<Account, ApiError> {
    let me = signed_in(request)?;
    parts.limits.address(request)?;
    let account = db.read(async |tx| accounts::find(tx, me.id).await).await?.ok_or_else(gone)?;
    parts.limits.name(&account.username).await;
    match parts.passwords.verify(account.password.clone(), password).await? {
        true => Ok(account),
        false => Err(wrong_password().into()),
    }
}

fn wrong_password() -> Problem {
    Problem::refused_credentials("the password is wrong")
}

/// The account was erased after the gate had admitted it.
pub(crate) fn gone() -> Problem {
    Problem::unauthorized("the account does not exist any more", true)
}

#[cfg(test)]
mod tests {
    use charging::accounts::PersonName;

    use super::*;

    #[test]
    fn every_member_of_a_profile_is_in_the_view() {
        let profile = Profile {
            email: "a@example.com".parse().ok(),
            name: "Ada".parse::<PersonName>().ok(),
            language: Some(Language::De),
            address: None,
        };
        let members = serde_json::to_value(profile).unwrap();
        let view = serde_json::to_value(MeView::schema()).unwrap();
        for member in members.as_object().unwrap().keys() {
            assert!(view["properties"].get(member).is_some(), "{member}");
        }
    }
}
