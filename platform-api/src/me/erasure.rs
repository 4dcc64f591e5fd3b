//! `DELETE /api/v1/me` and `GET /api/v1/me/export`: to leave, and to see what is stored.

use std::time::Duration;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use charging::accounts::export::{self, Export};
use charging::accounts::{self, erasure, sign_ins};
use charging::{At, Db};
use http_server::conditional::IfMatch;
use http_server::openapi::refusals::{
    BodyTooLarge, BodyTooSlow, Conflict, Invalid, PreconditionFailed, PreconditionRequired, Unavailable,
    UnsupportedMediaType,
};
use http_server::{Problem, body, caller};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{confirmed, gone};
use crate::accounts::{Parts, signed_in};
use crate::auth::MAX_BODY;
use crate::error::{Answer, ApiError};
use crate::live::Live;
use crate::permissions::actor;

/// How long the password need not be entered again.
const RECENT: Duration = Duration::from_secs(600);

/// The password, where the sign-in is older than ten minutes
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Confirmation {
    #[schema(max_length = 256, format = "password")]
    password: Option<String>,
}

/// What an erasure has done
#[derive(Serialize, ToSchema)]
#[schema(as = Erased)]
pub(crate) struct ErasedView {
    message: &'static str,
    /// The documents that are kept, as law requires
    kept: &'static [&'static str],
}

impl ErasedView {
    pub(crate) const DONE: Self = Self { message: "Account erased", kept: erasure::KEPT };
}

/// Erase the own account
///
/// Everything goes that law does not keep, and the name is free again. What is open must be settled first: `field` names it.
/// The last mail goes to the former address.
#[utoipa::path(delete, path = "/api/v1/me", operation_id = "erase_me", tag = "me", request_body = Confirmation,
    params(("If-Match" = String, Header, description = "The ETag of the account", example = "\"1\"")),
    responses((status = 200, description = "The account is erased", body = ErasedView), Invalid, Conflict,
        PreconditionFailed, PreconditionRequired, BodyTooLarge, BodyTooSlow, UnsupportedMediaType, Unavailable))]
pub(crate) async fn erase(
    db: Data<Db>,
    live: Data<Live>,
    parts: Data<Parts>,
    request: HttpRequest,
    payload: Payload,
) -> Answer {
    let body = body::read(&request, payload, MAX_BODY).await?;
    let me = signed_in(&request)?;
    let (account, sign_in) = db
        .read(async |tx| {
            let account = accounts::find(tx, me.id).await?.ok_or_else(gone)?;
            Ok::<_, ApiError>((account, sign_ins::find(tx, me.id, me.sign_in).await?))
        })
        .await?;
    IfMatch::of(&request)?.check(account.version)?;
    let Confirmation { password } =
        if body.is_empty() { Confirmation::default() } else { body::document(&body)? };
    let is_recent = sign_in.is_some_and(|sign_in| sign_in.authenticated_at.plus(RECENT) >= At::now());
    match password {
        Some(password) => drop(confirmed(&db, &parts, &request, password).await?),
        None if is_recent => {}
        None => {
            let detail = "the sign-in is older than ten minutes: enter the password again";
            return Err(Problem::invalid("password", detail).into());
        }
    }
    let actor = actor(&caller(&request));
    db.write(async |tx| {
        let now = accounts::find(tx, me.id).await?.ok_or_else(gone)?;
        IfMatch::of(&request)?.check(now.version)?;
        Ok::<_, ApiError>(erasure::erase(tx, me.id, &actor, None).await?)
    })
    .await?;
    live.wake();
    Ok(HttpResponse::Ok().json(ErasedView::DONE))
}

/// Everything that is stored about the owner of the account
#[utoipa::path(get, path = "/api/v1/me/export", operation_id = "export_me", tag = "me",
    responses((status = 200, description = "A document to be saved", body = Export,
        headers(("Content-Disposition" = String, description = "The name of a file"))), Unavailable))]
pub(crate) async fn export(db: Data<Db>, request: HttpRequest) -> Answer {
    let me = signed_in(&request)?;
    let export = db
        .read(async |tx| {
            let account = accounts::find(tx, me.id).await?.ok_or_else(gone)?;
            Ok::<_, ApiError>(export::export(tx, account).await?)
        })
        .await?;
    let mut response = HttpResponse::Ok();
    response.insert_header(("content-disposition", "attachment; filename=\"voltgate-export.json\""));
    Ok(response.insert_header(("cache-control", "no-store")).json(export))
}
