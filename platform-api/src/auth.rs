//! `/api/auth`: registration, sign-in, refresh and sign-out. What is refused looks and takes the same whatever the reason.

pub(crate) mod by_mail;
pub(crate) mod pages;

use ::metrics::counter;
use actix_web::web::{Data, Payload, get, post};
use actix_web::{HttpRequest, HttpResponse};
use charging::accounts::sign_ins::{self, Ending, Issued, Refreshed};
use charging::accounts::{
    self, Account, Email, Language, NewAccount, Password, PasswordHash, Secret, TermsVersion, Username,
    roles, second_factor, verification,
};
use charging::db::TxError;
use charging::{Db, Tx};
use http_server::openapi::refusals::{
    BodyTooLarge, BodyTooSlow, Conflict, Invalid, TooManyRequests, Unauthorized, Unavailable,
    UnsupportedMediaType,
};
use http_server::{Access, OPTIONAL_SLASH, Problem, Resource, body, resource};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::accounts::{Parts, UserView, signed_in};
use crate::error::{Answer, ApiError};
use crate::live::Live;
use crate::metrics::SIGN_INS;
use crate::permissions;

pub(crate) const MAX_BODY: usize = 16 * 1024;

pub(crate) fn resources() -> Vec<Resource> {
    let path = |name: &str| format!("/api/auth/{name}{OPTIONAL_SLASH}");
    let anonymous = &[("POST", Access::Anonymous)];
    let own = &[("POST", Access::Granted(permissions::OWN_ACCOUNT))];
    vec![
        resource(&path("register"), anonymous).without_query().route(post().to(register)),
        resource(&path("login"), anonymous).without_query().route(post().to(login)),
        resource(&path("refresh"), anonymous).without_query().route(post().to(refresh)),
        resource(&path("logout"), own).without_query().route(post().to(logout)),
        resource(&path("verify"), anonymous).without_query().route(post().to(by_mail::verify)),
        resource(&path("verify/resend"), own).without_query().route(post().to(by_mail::resend)),
        resource(&path("reset"), anonymous).without_query().route(post().to(by_mail::request_reset)),
        resource(&path("reset/confirm"), anonymous).without_query().route(post().to(by_mail::confirm_reset)),
        page("/verify").route(get().to(pages::verify_page)).route(post().to(pages::verify)),
        page("/reset").route(get().to(pages::reset_page)).route(post().to(pages::reset_by_form)),
        resource("/auth.js", &[("GET", Access::Open)]).route(get().to(pages::script)),
        resource("/auth.css", &[("GET", Access::Open)]).route(get().to(pages::style)),
        resource("/.well-known/jwks.json", &[("GET", Access::Open)]).route(get().to(public_keys)),
    ]
}

fn page(path: &str) -> Resource {
    resource(path, &[("GET", Access::Open), ("POST", Access::Anonymous)]).without_query()
}

/// A new account
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Registration {
    username: Username,
    password: Password,
    /// An address for mail. It belongs to the account once it is verified
    email: Option<Email>,
    /// The language of mails; `en` unless given
    language: Option<Language>,
    /// The version of the terms that is accepted; required where the operator has terms
    terms_version: Option<TermsVersion>,
}

/// Who signs in
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    /// The name of the account, or its verified address
    #[schema(max_length = 254)]
    username: String,
    #[schema(max_length = 256, format = "password")]
    password: String,
    /// The one-time password of the second factor, where the account has one
    #[schema(pattern = "^[0-9]{6}$")]
    otp: Option<String>,
}

/// A refresh token
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefreshToken {
    #[schema(max_length = 100)]
    refresh: String,
}

/// A sign-in
#[derive(Serialize, ToSchema)]
#[schema(as = SignedIn)]
pub(crate) struct SignedInView {
    message: &'static str,
    /// The access token, for `Authorization: Bearer`
    access: String,
    /// The refresh token. It is used once, and then replaced by its successor
    refresh: String,
    user: UserView,
}

/// The tokens of a sign-in
#[derive(Serialize, ToSchema)]
#[schema(as = RefreshedTokens)]
pub(crate) struct TokensView {
    access: String,
    refresh: String,
}

/// What was done
#[derive(Serialize, ToSchema)]
#[schema(as = Message)]
pub(crate) struct MessageView {
    pub(crate) message: &'static str,
}

/// The public keys of access tokens (RFC 7517)
#[derive(ToSchema)]
#[schema(as = JsonWebKeySet)]
#[expect(dead_code, reason = "only documented")]
pub(crate) struct KeySet {
    keys: Vec<serde_json::Map<String, serde_json::Value>>,
}

/// Register an account
#[utoipa::path(post, path = "/api/auth/register/", operation_id = "register", tag = "auth", request_body = Registration,
    responses((status = 201, description = "The account, signed in", body = SignedInView), Invalid, Conflict,
        TooManyRequests, BodyTooLarge, BodyTooSlow, UnsupportedMediaType, Unavailable))]
pub(crate) async fn register(
    db: Data<Db>,
    live: Data<Live>,
    parts: Data<Parts>,
    request: HttpRequest,
    payload: Payload,
) -> Answer {
    let body = body::read(&request, payload, MAX_BODY).await?;
    let wanted: Registration = body::document(&body)?;
    check_terms(&parts, wanted.terms_version.as_ref())?;
    parts.limits.address(&request)?;
    // Before it is known whether the name is taken, so that this takes as long.
    let password = parts.passwords.hash(wanted.password.clone()).await?;
    let client = client(&request);
    let (account, issued) = db
        .write(async |tx| {
            let account = accounts::create(tx, &wanted.account(&password)).await?;
            if let Some(email) = &wanted.email {
                verification::request_verification(tx, &account, email).await?;
            }
            let issued = sign_ins::begin(tx, account.id, client.as_deref()).await?;
            Ok::<_, ApiError>((account, issued))
        })
        .await?;
    live.wake();
    let user = UserView::of(&account, vec![DRIVER]);
    answer(&parts, HttpResponse::Created(), "Registered", &issued, user)
}

const DRIVER: common::role::RoleGrant =
    common::role::RoleGrant { role: common::role::Role::Driver, location_ids: None };

/// Sign in
///
/// By the name or the verified address of an account. With a second factor the answer is 401 with the type
/// `urn:voltgate:problem:second_factor` until the request has `otp`.
#[utoipa::path(post, path = "/api/auth/login/", operation_id = "login", tag = "auth", request_body = Login,
    responses((status = 200, description = "A sign-in", body = SignedInView), Invalid, Unauthorized,
        TooManyRequests, BodyTooLarge, BodyTooSlow, UnsupportedMediaType, Unavailable))]
pub(crate) async fn login(
    db: Data<Db>,
    parts: Data<Parts>,
    request: HttpRequest,
    payload: Payload,
) -> Answer {
    let body = body::read(&request, payload, MAX_BODY).await?;
    let Login { username, password, otp } = body::document(&body)?;
    parts.limits.address(&request)?;
    parts.limits.name(&username).await;
    let found = db.read(async |tx| accounts::by_login(tx, &username).await).await?;
    let hash = found.as_ref().map_or_else(PasswordHash::of_no_account, |account| account.password.clone());
    let is_right = parts.passwords.verify(hash, password).await?;
    let Some(account) = found.filter(|account| is_right && account.is_active()) else {
        count("refused");
        return Err(refused().into());
    };
    let client = client(&request);
    let begun = db.write(async |tx| begin(tx, &account, otp.as_deref(), client.as_deref()).await).await;
    match &begun {
        Ok(_) => count("accepted"),
        Err(error) if error.database().is_none() => count("second_factor"),
        // It is no outcome that the database was away.
        Err(_) => {}
    }
    let (issued, account, roles) = begun?;
    answer(&parts, HttpResponse::Ok(), "Signed in", &issued, UserView::of(&account, roles))
}

/// Begins the sign-in of an account whose password was right.
async fn begin(
    tx: &mut Tx,
    before: &Account,
    otp: Option<&str>,
    client: Option<&str>,
) -> Result<(Issued, Account, Vec<common::role::RoleGrant>), ApiError> {
    let issued = sign_ins::begin(tx, before.id, client).await?;
    // It may have been blocked, or its password changed, while the password was verified.
    let account = accounts::find(tx, before.id).await?;
    let account = account.filter(|account| account.is_active() && account.password == before.password);
    let account = account.ok_or_else(refused)?;
    if account.totp_confirmed {
        let otp = otp.ok_or_else(|| Problem::second_factor("repeat the request with `otp`"))?;
        if !second_factor::accept(tx, account.id, otp, false).await? {
            return Err(Problem::second_factor("the one-time password is wrong, or was used before").into());
        }
    }
    let roles = roles::of(tx, account.id).await?;
    Ok((issued, account, roles))
}

/// Refresh a sign-in
///
/// The refresh token is used up, and its successor is returned. A repeat within a short grace gets the same successor; one
/// after it ends the sign-in, as two parties have the token then.
#[utoipa::path(post, path = "/api/auth/refresh/", operation_id = "refresh", tag = "auth", request_body = RefreshToken,
    responses((status = 200, description = "New tokens", body = TokensView), Invalid, Unauthorized, TooManyRequests,
        BodyTooLarge, BodyTooSlow, UnsupportedMediaType, Unavailable))]
pub(crate) async fn refresh(
    db: Data<Db>,
    live: Data<Live>,
    parts: Data<Parts>,
    request: HttpRequest,
    payload: Payload,
) -> Answer {
    let body = body::read(&request, payload, MAX_BODY).await?;
    let RefreshToken { refresh } = body::document(&body)?;
    let token: Secret = refresh.parse().map_err(|_| refused_refresh())?;
    let grace = parts.refresh_grace;
    let refreshed = db.write(async |tx| sign_ins::refresh(tx, &token, grace).await).await?;
    match refreshed {
        Refreshed::Issued(issued) => {
            let access = access(&parts, &issued)?;
            Ok(no_store(HttpResponse::Ok()).json(TokensView { access, refresh: issued.refresh.reveal() }))
        }
        Refreshed::Refused => Err(refused_refresh().into()),
        Refreshed::Reused { account_id, sign_in_id } => {
            tracing::warn!(account = %account_id, sign_in = %sign_in_id, "a refresh token was used again; its sign-in has ended");
            count("reused");
            live.wake();
            Err(refused_refresh().into())
        }
    }
}

/// Sign out
///
/// The access token, the refresh token and the live streams of this sign-in end at once.
#[utoipa::path(post, path = "/api/auth/logout/", operation_id = "logout", tag = "auth",
    responses((status = 200, description = "The sign-in has ended", body = MessageView), Unavailable))]
pub(crate) async fn logout(db: Data<Db>, live: Data<Live>, request: HttpRequest) -> Answer {
    let me = signed_in(&request)?;
    db.write(async |tx| sign_ins::end(tx, me.id, me.sign_in, Ending::SignedOut).await).await?;
    live.wake();
    Ok(HttpResponse::Ok().json(MessageView { message: "Signed out" }))
}

/// The public keys of access tokens
///
/// A service can verify access tokens with them. Whether the sign-in still stands is known to platform-api only.
#[utoipa::path(get, path = "/.well-known/jwks.json", operation_id = "access_token_keys", tag = "auth",
    responses((status = 200, description = "A JWK set", body = KeySet)))]
pub(crate) async fn public_keys(parts: Data<Parts>) -> HttpResponse {
    HttpResponse::Ok().json(parts.access_tokens.public_keys())
}

impl Registration {
    fn account(&self, password: &PasswordHash) -> NewAccount {
        NewAccount {
            username: self.username.clone(),
            password: password.clone(),
            language: self.language.unwrap_or(Language::En),
            terms: self.terms_version.clone(),
        }
    }
}

fn count(outcome: &'static str) {
    counter!(SIGN_INS, "outcome" => outcome).increment(1);
}

/// The same text for a name that does not exist, a wrong password, and a blocked account.
fn refused() -> Problem {
    Problem::refused_credentials("the name or the password is wrong")
}

fn refused_refresh() -> Problem {
    Problem::refused_credentials("the refresh token is unknown or was used, or its sign-in has ended")
}

fn check_terms(parts: &Parts, accepted: Option<&TermsVersion>) -> Result<(), Problem> {
    match &parts.terms {
        Some(current) if accepted != Some(current) => {
            let detail = format!("the terms of the version {} must be accepted", current.as_str());
            Err(Problem::invalid("terms_version", detail))
        }
        _ => Ok(()),
    }
}

/// What the client calls itself, as the owner of the account will see it.
fn client(request: &HttpRequest) -> Option<String> {
    let value = request.headers().get("user-agent")?;
    value.to_str().ok().map(ToOwned::to_owned)
}

fn answer(
    parts: &Parts,
    response: actix_web::HttpResponseBuilder,
    message: &'static str,
    issued: &Issued,
    user: UserView,
) -> Answer {
    let (access, refresh) = (access(parts, issued)?, issued.refresh.reveal());
    Ok(no_store(response).json(SignedInView { message, access, refresh, user }))
}

fn access(parts: &Parts, issued: &Issued) -> Result<String, Problem> {
    let signed = parts.access_tokens.issue(issued.account_id, issued.sign_in_id);
    signed.map_err(|error| Problem::internal(error.to_string()))
}

/// Tokens stay out of caches.
fn no_store(mut response: actix_web::HttpResponseBuilder) -> actix_web::HttpResponseBuilder {
    response.insert_header(("cache-control", "no-store"));
    response
}
