//! The document as served, and the page that shows it: Swagger UI from within the program, so that it works without
//! access to the internet.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_SECURITY_POLICY, LOCATION};
use actix_web::web::{Bytes, Data, Path, ServiceConfig, get, head};
use utoipa::openapi::OpenApi;
use utoipa_swagger_ui::{Config, serve};

use super::refusals;
use crate::resource::{Resource, resource};
use crate::{Access, Problem};

/// The page has its own scripts and calls this service. Swagger UI sets styles from its scripts and has images in its
/// CSS.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The document as text, serialized once for all threads.
pub(crate) struct Text(Bytes);

/// The document holds no secret: reading it grants no access.
pub(super) fn resources() -> [Resource; 4] {
    [
        resource("/", &[("GET, HEAD", Access::Open)]).route(get().to(from_root)).route(head().to(from_root)),
        resource("/openapi.json", &[("GET", Access::Open)]).route(get().to(document)),
        resource("/docs", &[("GET", Access::Open)]).route(get().to(to_page)),
        resource("/docs/{file:[^/]*}", &[("GET", Access::Open)]).route(get().to(file)),
    ]
}

impl From<&OpenApi> for Text {
    fn from(document: &OpenApi) -> Self {
        Self(document.to_pretty_json().unwrap_or_default().into())
    }
}

/// Serves the document, if there is one, and its page.
pub(crate) fn publish(config: &mut ServiceConfig, document: Option<&Data<Text>>) {
    let Some(document) = document else { return };
    config.app_data(document.clone());
    for resource in resources() {
        config.service(resource);
    }
}

/// The OpenAPI document
#[utoipa::path(get, path = "/openapi.json", operation_id = "openapi", tag = "service",
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json", body = Object)))]
pub(super) async fn document(text: Data<Text>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(text.0.clone())
}

/// From the service's address to its page
#[utoipa::path(get, path = "/", operation_id = "root", tag = "service",
    responses((status = 307, description = "Redirect to the page", headers(("Location" = String)))))]
pub(super) async fn from_root() -> HttpResponse {
    // Temporary, because a browser keeps a permanent redirect for as long as it likes.
    HttpResponse::TemporaryRedirect().insert_header((LOCATION, "docs/")).finish()
}

/// The OpenAPI document as a page
#[utoipa::path(get, path = "/docs", operation_id = "docs", tag = "service",
    responses((status = 308, description = "Redirect to the page", headers(("Location" = String)))))]
pub(super) async fn to_page() -> HttpResponse {
    // Relative, because only the client knows the prefix that a proxy adds.
    HttpResponse::PermanentRedirect().insert_header((LOCATION, "docs/")).finish()
}

/// The page and its files, compressed by gzip
#[utoipa::path(get, path = "/docs/{file}", operation_id = "docs_file", tag = "service",
    params(("file" = String, Path, example = "index.html", description = "A file of the page; the page itself if empty")),
    responses((status = 200, description = "The page, or one of its files", content((String = "text/html"),
        (String = "text/css"), (String = "text/javascript"), (String = "image/png"))),
        refusals::NotFound))]
pub(super) async fn file(path: Path<String>) -> Result<HttpResponse, Problem> {
    let config = Config::new(["../openapi.json"]).use_base_layout().validator_url("none");
    let file = serve(&path, Arc::new(config)).map_err(|error| Problem::internal(error.to_string()))?;
    let file = file.ok_or_else(|| Problem::not_found("file", "the page has no such file"))?;
    let mut answer = HttpResponse::Ok();
    answer.content_type(file.content_type).insert_header((CONTENT_SECURITY_POLICY, POLICY));
    if file.gzpipped {
        answer.insert_header((CONTENT_ENCODING, "gzip"));
    }
    Ok(answer.body(file.bytes.into_owned()))
}
