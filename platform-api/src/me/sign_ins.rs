//! `/api/v1/me/sign-ins`: where the account is signed in.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use charging::accounts::sign_ins::{self, Ending, SignIn};
use charging::{At, Db};
use http_server::openapi::refusals::{NotFound, Unavailable};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::accounts::signed_in;
use crate::error::{Answer, ApiError};
use crate::live::Live;
use crate::patch::{not_found, path_id};

/// Where the account is signed in
#[derive(Serialize, ToSchema)]
#[schema(as = SignIns)]
pub(crate) struct SignInsView {
    items: Vec<SignInView>,
    /// Always null: all of them are on one page
    #[schema(required)]
    cursor: Option<String>,
}

/// A sign-in
#[derive(Serialize, ToSchema)]
#[schema(as = SignIn)]
struct SignInView {
    id: Uuid,
    /// What the client calls itself
    #[schema(required)]
    client: Option<String>,
    /// Whether this request belongs to it
    current: bool,
    /// When the password was entered
    authenticated_at: At,
    /// When it was last refreshed
    last_used_at: At,
    /// When it ends, unless it is refreshed
    expires_at: At,
}

/// List the sign-ins of the account
#[utoipa::path(get, path = "/api/v1/me/sign-ins", operation_id = "list_sign_ins", tag = "me",
    responses((status = 200, description = "The live sign-ins, the oldest first", body = SignInsView), Unavailable))]
pub(crate) async fn list(db: Data<Db>, request: HttpRequest) -> Answer {
    let me = signed_in(&request)?;
    let found = db.read(async |tx| sign_ins::live(tx, me.id).await).await?;
    let view = |one: SignIn| SignInView {
        current: one.id == me.sign_in,
        id: one.id,
        client: one.client,
        authenticated_at: one.authenticated_at,
        last_used_at: one.last_used_at,
        expires_at: one.expires_at,
    };
    Ok(HttpResponse::Ok().json(SignInsView { items: found.into_iter().map(view).collect(), cursor: None }))
}

/// End all sign-ins but this one
#[utoipa::path(delete, path = "/api/v1/me/sign-ins", operation_id = "end_other_sign_ins", tag = "me",
    responses((status = 204, description = "They have ended"), Unavailable))]
pub(crate) async fn end_others(db: Data<Db>, live: Data<Live>, request: HttpRequest) -> Answer {
    let me = signed_in(&request)?;
    db.write(async |tx| sign_ins::end_all(tx, me.id, Some(me.sign_in), Ending::SignedOut).await).await?;
    live.wake();
    Ok(HttpResponse::NoContent().finish())
}

/// End a sign-in
#[utoipa::path(delete, path = "/api/v1/me/sign-ins/{sign_in_id}", operation_id = "end_sign_in", tag = "me",
    params(("sign_in_id" = Uuid, Path, description = "The sign-in's id")),
    responses((status = 204, description = "It has ended"), NotFound, Unavailable))]
pub(crate) async fn end(db: Data<Db>, live: Data<Live>, path: Path<String>, request: HttpRequest) -> Answer {
    let (me, id) = (signed_in(&request)?, path_id(&path)?);
    db.write(async |tx| {
        sign_ins::find(tx, me.id, id).await?.ok_or_else(not_found)?;
        sign_ins::end(tx, me.id, id, Ending::SignedOut).await?;
        Ok::<_, ApiError>(())
    })
    .await?;
    live.wake();
    Ok(HttpResponse::NoContent().finish())
}
