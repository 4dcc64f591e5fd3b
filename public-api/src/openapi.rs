//! The OpenAPI document of public-api. Every annotated handler is listed here.

mod callback;

use http_server::openapi;
use utoipa::OpenApi;

use crate::charge_service;
use crate::requests;
use crate::routes::resources;
use crate::{authorize, readyz, webhook_keys};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Voltgate public-api",
        description = "Decides whether drivers may charge at stations, and shows the decisions. Every error is a `Problem`; \
                       a method that a path does not support gets 405, an unknown path 404."
    ),
    servers(
        (url = ".", description = "The service that serves this document, also behind a proxy that adds a prefix"),
        (url = "http://127.0.0.1:8080", description = "The default address")
    ),
    paths(
        authorize::authorize,
        authorize::authorize_by_post,
        webhook_keys::webhook_public_keys,
        readyz::readyz,
        requests::list::list,
        requests::stream::stream,
        requests::show,
        requests::redeliver
    ),
    tags(
        (name = "authorization", description = "May this driver charge at this station?"),
        (name = "requests", description = "Requests, their decisions and callbacks")
    )
)]
struct Annotations;

/// The document that `GET /openapi.json` serves, with or without charge-service's calls.
pub fn document(charge_service: bool) -> utoipa::openapi::OpenApi {
    let (mut annotations, mut resources) = (Annotations::openapi(), resources());
    openapi::without_required_body(&mut annotations, &["authorize_by_post"]);
    callback::describe(&mut annotations);
    if charge_service {
        annotations.merge(charge_service::Annotations::openapi());
        resources.extend(charge_service::resources());
    }
    openapi::document(annotations, &resources)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_in_the_document_and_nothing_else() {
        let mut all = resources();
        assert_eq!(openapi::differences(&document(false), &all), Vec::<String>::new());
        all.extend(charge_service::resources());
        assert_eq!(openapi::differences(&document(true), &all), Vec::<String>::new());
    }
}
