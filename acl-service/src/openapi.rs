//! The OpenAPI document of acl-service. Every annotated handler is listed here.

use http_server::openapi;
use utoipa::OpenApi;

use crate::routes::{self, resources};
use crate::{audit, copy, entries, groups, import, members, platform_version, public_stations};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Voltgate acl-service",
        description = "The access lists: which drivers may charge at which stations, and which stations are public. Every error is a `Problem`; a method \
                       that a path does not support gets 405, an unknown path 404."
    ),
    servers(
        (url = ".", description = "The service that serves this document, also behind a proxy that adds a prefix"),
        (url = "http://127.0.0.1:5000", description = "The default address")
    ),
    paths(
        routes::readyz,
        entries::check,
        entries::allow,
        entries::deny,
        entries::list,
        entries::allow_many,
        entries::list_timed,
        entries::check_many,
        copy::copy,
        import::import,
        audit::list,
        groups::list,
        groups::show,
        groups::create,
        groups::remove,
        groups::stations,
        groups::join,
        groups::leave,
        groups::drivers,
        groups::admit,
        groups::dismiss,
        public_stations::list,
        public_stations::change,
        public_stations::show,
        public_stations::put,
        public_stations::remove,
        members::list,
        members::change,
        members::show,
        members::put,
        members::remove,
        platform_version::show,
        platform_version::put
    ),
    tags(
        (name = "lists", description = "Who may charge at a station"),
        (name = "groups", description = "Groups of stations, and drivers who may charge at each of them"),
        (name = "platform", description = "Public stations, and members who may charge at each of them"),
        (name = "audit", description = "The changes of access lists, public stations and members, and their authors")
    )
)]
struct Annotations;

/// The document that `GET /openapi.json` serves.
pub fn document() -> utoipa::openapi::OpenApi {
    let mut annotations = Annotations::openapi();
    openapi::without_required_body(&mut annotations, &["allow_driver", "allow_group_driver", "add_member"]);
    openapi::document(annotations, &resources())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_in_the_document_and_nothing_else() {
        assert_eq!(openapi::differences(&document(), &resources()), Vec::<String>::new());
    }
}
