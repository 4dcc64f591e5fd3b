//! `/api/v1/me/second-factor`: one-time passwords by an authenticator app.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use charging::Db;
use charging::accounts::second_factor::{self, Enrolment};
use http_server::openapi::refusals::{
    BodyTooLarge, BodyTooSlow, Conflict, Invalid, Unauthorized, Unavailable, UnsupportedMediaType,
};
use http_server::{Problem, body};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::confirmed;
use crate::accounts::{Parts, signed_in};
use crate::auth::{MAX_BODY, MessageView};
use crate::error::{Answer, ApiError};

/// The password, entered again
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordConfirmation {
    #[schema(max_length = 256, format = "password")]
    password: String,
}

/// A one-time password
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OneTimePassword {
    #[schema(pattern = "^[0-9]{6}$")]
    otp: String,
}

/// What an authenticator app needs
#[derive(Serialize, ToSchema)]
#[schema(as = SecondFactor)]
pub(crate) struct EnrolmentView {
    /// The secret in base 32, for typing
    secret: String,
    /// The same as a URL `otpauth://…`, for a QR code
    url: String,
}

/// Begin to use a second factor
///
/// It counts once it is confirmed with the first one-time password.
#[utoipa::path(post, path = "/api/v1/me/second-factor", operation_id = "begin_second_factor", tag = "me",
    request_body = PasswordConfirmation,
    responses((status = 200, description = "What an authenticator app needs", body = EnrolmentView), Invalid,
        Unauthorized, Conflict, BodyTooLarge, BodyTooSlow, UnsupportedMediaType, Unavailable))]
pub(crate) async fn begin(
    db: Data<Db>,
    parts: Data<Parts>,
    request: HttpRequest,
    payload: Payload,
) -> Answer {
    let body = body::read(&request, payload, MAX_BODY).await?;
    let PasswordConfirmation { password } = body::document(&body)?;
    let account = confirmed(&db, &parts, &request, password).await?;
    let begun = db.write(async |tx| second_factor::begin(tx, account.id).await).await?;
    let Enrolment { secret, url } = begun;
    let mut response = HttpResponse::Ok();
    Ok(response.insert_header(("cache-control", "no-store")).json(EnrolmentView { secret, url }))
}

/// Confirm the second factor
#[utoipa::path(post, path = "/api/v1/me/second-factor/confirm", operation_id = "confirm_second_factor", tag = "me",
    request_body = OneTimePassword,
    responses((status = 200, description = "Signing in needs a one-time password from now on", body = MessageView),
        Invalid, BodyTooLarge, BodyTooSlow, UnsupportedMediaType, Unavailable))]
pub(crate) async fn confirm(
    db: Data<Db>,
    parts: Data<Parts>,
    request: HttpRequest,
    payload: Payload,
) -> Answer {
    let body = body::read(&request, payload, MAX_BODY).await?;
    let OneTimePassword { otp } = body::document(&body)?;
    let me = signed_in(&request)?;
    parts.limits.address(&request)?;
    if !db.write(async |tx| second_factor::accept(tx, me.id, &otp, true).await).await? {
        return Err(Problem::invalid("otp", "it is wrong, or was used before").into());
    }
    Ok(HttpResponse::Ok().json(MessageView { message: "Second factor confirmed" }))
}

/// Remove the second factor
#[utoipa::path(post, path = "/api/v1/me/second-factor/remove", operation_id = "remove_second_factor", tag = "me",
    request_body = PasswordConfirmation,
    responses((status = 200, description = "Signing in needs no one-time password", body = MessageView), Invalid,
        Unauthorized, BodyTooLarge, BodyTooSlow, UnsupportedMediaType, Unavailable))]
pub(crate) async fn remove(
    db: Data<Db>,
    parts: Data<Parts>,
    request: HttpRequest,
    payload: Payload,
) -> Answer {
    let body = body::read(&request, payload, MAX_BODY).await?;
    let PasswordConfirmation { password } = body::document(&body)?;
    let account = confirmed(&db, &parts, &request, password).await?;
    db.write(async |tx| Ok::<_, ApiError>(second_factor::remove(tx, account.id).await?)).await?;
    Ok(HttpResponse::Ok().json(MessageView { message: "Second factor removed" }))
}
