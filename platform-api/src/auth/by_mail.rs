//! `/api/auth/verify` and `/api/auth/reset`: what is proved by a code from a mail. An answer never says whether an address is
//! known.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use charging::Db;
use charging::accounts::codes::{self, Purpose};
use charging::accounts::{self, AccountError, Email, Password, Secret, verification};
use http_server::openapi::refusals::{
    BodyTooLarge, BodyTooSlow, Conflict, Invalid, TooManyRequests, Unavailable, UnsupportedMediaType,
};
use http_server::{Problem, body};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{MAX_BODY, MessageView};
use crate::accounts::{Parts, signed_in};
use crate::error::{Answer, ApiError};
use crate::live::Live;
use crate::me::gone;

/// A code from a mail
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MailedCode {
    #[schema(max_length = 100)]
    code: String,
}

/// Who needs a new password
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResetRequest {
    /// The verified address of the account
    email: Email,
}

/// A new password, with the code from the mail
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPassword {
    #[schema(max_length = 100)]
    code: String,
    password: Password,
}

/// Verify an address
///
/// The address belongs to the account from now on. A code works once, for 48 hours.
#[utoipa::path(post, path = "/api/auth/verify/", operation_id = "verify_email", tag = "auth", request_body = MailedCode,
    responses((status = 200, description = "The address belongs to the account", body = MessageView), Invalid,
        TooManyRequests, BodyTooLarge, BodyTooSlow, UnsupportedMediaType, Unavailable))]
pub(crate) async fn verify(
    db: Data<Db>,
    parts: Data<Parts>,
    request: HttpRequest,
    payload: Payload,
) -> Answer {
    let body = body::read(&request, payload, MAX_BODY).await?;
    let MailedCode { code } = body::document(&body)?;
    parts.limits.address(&request)?;
    use_code(&db, &code).await?;
    Ok(HttpResponse::Ok().json(MessageView { message: "Address verified" }))
}

/// Send the code for an address again
#[utoipa::path(post, path = "/api/auth/verify/resend/", operation_id = "resend_code", tag = "auth",
    responses((status = 202, description = "A mail is sent, at most once a minute", body = MessageView), Conflict,
        TooManyRequests, Unavailable))]
pub(crate) async fn resend(db: Data<Db>, parts: Data<Parts>, request: HttpRequest) -> Answer {
    let me = signed_in(&request)?;
    parts.limits.address(&request)?;
    db.write(async |tx| {
        let account = accounts::find(tx, me.id).await?.ok_or_else(gone)?;
        let pending = codes::pending(tx, me.id, Purpose::VerifyEmail).await?;
        let pending: Option<Email> = pending.and_then(|email| email.parse().ok());
        let email = pending.ok_or_else(|| Problem::conflict("email", "no address waits to be verified"))?;
        Ok::<_, ApiError>(verification::request_verification(tx, &account, &email).await?)
    })
    .await?;
    Ok(HttpResponse::Accepted().json(MessageView { message: "A mail is on its way" }))
}

/// Ask for a new password
///
/// If an account has the address, a code is sent there. The answer is the same in any case.
#[utoipa::path(post, path = "/api/auth/reset/", operation_id = "request_reset", tag = "auth", request_body = ResetRequest,
    responses((status = 202, description = "A mail is sent if an account has the address", body = MessageView), Invalid,
        TooManyRequests, BodyTooLarge, BodyTooSlow, UnsupportedMediaType, Unavailable))]
pub(crate) async fn request_reset(
    db: Data<Db>,
    parts: Data<Parts>,
    request: HttpRequest,
    payload: Payload,
) -> Answer {
    let body = body::read(&request, payload, MAX_BODY).await?;
    let ResetRequest { email } = body::document(&body)?;
    ask_for_reset(&db, &parts, &request, email).await?;
    Ok(HttpResponse::Accepted()
        .json(MessageView { message: "If an account has this address, a mail is on its way" }))
}

/// Choose a new password
///
/// All sign-ins of the account end. A code works once, for an hour.
#[utoipa::path(post, path = "/api/auth/reset/confirm/", operation_id = "confirm_reset", tag = "auth",
    request_body = NewPassword, responses((status = 200, description = "The password is changed", body = MessageView),
        Invalid, TooManyRequests, BodyTooLarge, BodyTooSlow, UnsupportedMediaType, Unavailable))]
pub(crate) async fn confirm_reset(
    db: Data<Db>,
    live: Data<Live>,
    parts: Data<Parts>,
    request: HttpRequest,
    payload: Payload,
) -> Answer {
    let body = body::read(&request, payload, MAX_BODY).await?;
    let NewPassword { code, password } = body::document(&body)?;
    parts.limits.address(&request)?;
    reset(&db, &live, &parts, &code, password).await?;
    Ok(HttpResponse::Ok().json(MessageView { message: "Password changed" }))
}

/// Uses up the code for an address.
pub(super) async fn use_code(db: &Db, code: &str) -> Result<(), ApiError> {
    let code = parse(code)?;
    match db.write(async |tx| verification::verify(tx, &code).await).await {
        Ok(Some(_)) => Ok(()),
        // Another account has verified the address meanwhile.
        Ok(None) | Err(AccountError::Conflict(_)) => Err(bad_code().into()),
        Err(error) => Err(error.into()),
    }
}

/// Takes a request for a new password.
pub(super) async fn ask_for_reset(
    db: &Db,
    parts: &Parts,
    request: &HttpRequest,
    email: Email,
) -> Result<(), ApiError> {
    parts.limits.address(request)?;
    parts.limits.name(email.as_str()).await;
    // The same for every address, so that who asks learns of a database that is away.
    db.probe().await?;
    Ok(parts.resets.request(email)?)
}

/// Sets the password by a code.
pub(super) async fn reset(
    db: &Db,
    live: &Live,
    parts: &Parts,
    code: &str,
    password: Password,
) -> Result<(), ApiError> {
    let code = parse(code)?;
    let hash = parts.passwords.hash(password).await?;
    let account = db.write(async |tx| verification::reset(tx, &code, &hash).await).await?;
    account.ok_or_else(bad_code)?;
    live.wake();
    Ok(())
}

fn parse(code: &str) -> Result<Secret, Problem> {
    code.trim().parse().map_err(|_| bad_code())
}

/// The same text for a code that is malformed, unknown, used or too old.
fn bad_code() -> Problem {
    Problem::invalid("code", "it is wrong, was used before, or is too old")
}
