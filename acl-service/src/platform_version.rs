//! The number of the last change that platform-api has applied to the public stations and the members. It is kept in the
//! same store, so that a store that lost changes says so.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use http_server::openapi::refusals::{BodyTooLarge, BodyTooSlow, Invalid, Unavailable, UnsupportedMediaType};
use http_server::{Problem, body, input, query};
use serde::{Deserialize, Serialize};
use store::{AccessStore, PlatformVersion};
use utoipa::ToSchema;

use crate::actor::{Author, actor};
use crate::error::Answer;

const MAX_BODY: usize = 1024;
const FIELD: &str = "version";

/// The version of the public stations and the members
#[derive(Serialize, ToSchema)]
#[schema(as = PlatformVersion)]
pub(crate) struct Version {
    /// The number of the last change that platform-api has applied; null if none was set, or if the store lost it
    #[schema(required)]
    version: Option<u64>,
}

/// Another version
#[derive(Deserialize, ToSchema)]
#[schema(as = NewPlatformVersion)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewVersion {
    /// The number of the last change that is applied; null removes the version
    #[schema(required)]
    version: Option<u64>,
}

/// Show the version of the public stations and the members
#[utoipa::path(get, path = "/platform-version", operation_id = "show_platform_version", tag = "platform",
    responses((status = 200, description = "The version", body = Version), Invalid, Unavailable))]
pub(crate) async fn show(store: Data<AccessStore>, request: HttpRequest) -> Answer {
    query::none(&request)?;
    let version = store.public.version().await?.map(PlatformVersion::number);
    Ok(HttpResponse::Ok().json(Version { version }))
}

/// Set the version, after the changes up to it are applied; null removes it
#[utoipa::path(put, path = "/platform-version", operation_id = "set_platform_version", tag = "platform", params(Author),
    request_body = NewVersion,
    responses((status = 200, description = "The version is set", body = Version), Invalid, BodyTooSlow, BodyTooLarge,
        UnsupportedMediaType, Unavailable))]
pub(crate) async fn put(store: Data<AccessStore>, request: HttpRequest, payload: Payload) -> Answer {
    // It changes no access, so it is not in the audit trail. A malformed author is refused all the same.
    actor(&request)?;
    let given = body::value(&body::read(&request, payload, MAX_BODY).await?)?;
    let NewVersion { version } = input::object(&given)?;
    if given.get(FIELD).is_none() {
        return Err(Problem::invalid(FIELD, "it is missing; null removes the version").into());
    }
    let too_large = || Problem::invalid(FIELD, format!("expected at most {}", i64::MAX));
    let new = version.map(|number| PlatformVersion::new(number).ok_or_else(too_large)).transpose()?;
    store.public.set_version(new).await?;
    Ok(HttpResponse::Ok().json(Version { version }))
}
