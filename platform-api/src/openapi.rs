//! The OpenAPI document of platform-api. Every annotated handler is listed here.

#[cfg(test)]
mod rights;

use http_server::openapi;
use utoipa::OpenApi;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;

use crate::routes::{self, resources};
use crate::{
    access, audit, auth, chargers, commands, fleets, live, locations, me, network, stations, tokens,
    transactions, users,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Voltgate platform-api",
        description = "The charging platform: locations, charging stations, and what happens, live. Every error is a \
                       `Problem`; a method that a path does not support gets 405, an unknown path 404."
    ),
    servers(
        (url = ".", description = "The service that serves this document, also behind a proxy that adds a prefix"),
        (url = "http://127.0.0.1:8000", description = "The default address")
    ),
    paths(
        routes::readyz,
        locations::list,
        locations::create,
        locations::show,
        locations::change,
        locations::remove,
        stations::list,
        stations::create,
        stations::show,
        stations::change,
        stations::remove,
        stations::status_log,
        chargers::list,
        chargers::show,
        chargers::adoption::put,
        chargers::adoption::change,
        chargers::adoption::remove,
        chargers::adoption::set_credentials,
        chargers::messages::list,
        chargers::log,
        chargers::certificate_request,
        chargers::inbox::list,
        chargers::inbox::remove,
        transactions::list,
        transactions::show,
        transactions::meter_values,
        transactions::end,
        commands::list,
        commands::show,
        commands::operations::remote_start_transaction,
        commands::operations::remote_stop_transaction,
        commands::operations::trigger_message,
        commands::operations::certificate_signed,
        commands::older::list,
        commands::older::start,
        network::export,
        network::import,
        live::stream,
        live::socket,
        auth::register,
        auth::login,
        auth::refresh,
        auth::logout,
        auth::by_mail::verify,
        auth::by_mail::resend,
        auth::by_mail::request_reset,
        auth::by_mail::confirm_reset,
        auth::pages::verify_page,
        auth::pages::verify,
        auth::pages::reset_page,
        auth::pages::reset_by_form,
        auth::pages::script,
        auth::pages::style,
        auth::public_keys,
        me::show,
        me::change,
        me::password,
        me::terms,
        me::erasure::export,
        me::erasure::erase,
        me::sign_ins::list,
        me::sign_ins::end_others,
        me::sign_ins::end,
        me::second_factor::begin,
        me::second_factor::confirm,
        me::second_factor::remove,
        me::vehicles::list,
        me::vehicles::create,
        me::vehicles::show,
        me::vehicles::change,
        me::vehicles::remove,
        me::tokens::list,
        me::tokens::create,
        me::tokens::bind,
        me::tokens::show,
        me::tokens::change,
        me::tokens::remove,
        me::fleets::list,
        me::fleets::show,
        me::fleets::accept,
        me::fleets::leave,
        tokens::list,
        tokens::create,
        tokens::show,
        tokens::change,
        tokens::remove,
        tokens::issue_code,
        tokens::import::import,
        tokens::groups::list,
        tokens::groups::create,
        tokens::groups::show,
        tokens::groups::change,
        tokens::groups::remove,
        tokens::id_tags::list,
        tokens::id_tags::show,
        tokens::id_tags::put,
        tokens::id_tags::remove,
        fleets::list,
        fleets::create,
        fleets::show,
        fleets::change,
        fleets::remove,
        fleets::members::list,
        fleets::members::add,
        fleets::members::show,
        fleets::members::remove,
        fleets::tokens::list,
        fleets::tokens::add,
        fleets::tokens::remove,
        access::list,
        access::allow,
        access::deny,
        access::groups::list,
        access::groups::show,
        access::groups::create,
        access::groups::remove,
        access::groups::stations,
        access::groups::join,
        access::groups::leave,
        access::groups::tokens,
        access::groups::admit,
        access::groups::dismiss,
        users::list,
        users::show,
        users::change,
        users::erase,
        audit::list
    ),
    tags(
        (name = "auth", description = "Registration, sign-in, and sign-out"),
        (name = "me", description = "The own account"),
        (name = "tokens", description = "Cards and other tokens, their groups, and id tags, for operators"),
        (name = "fleets", description = "Fleets, their members and tokens, for operators and payers"),
        (name = "access", description = "Access lists of stations, and groups of stations, for operators"),
        (name = "users", description = "All accounts, for operators and administrators"),
        (name = "locations", description = "Sites with charging stations"),
        (name = "stations", description = "Charging stations with their EVSEs and connectors"),
        (name = "chargers", description = "Stations as OCPP sees them"),
        (name = "transactions", description = "Sessions as OCPP sees them"),
        (name = "commands", description = "What chargers are requested to do"),
        (name = "older", description = "The face of the older system"),
        (name = "network", description = "Export and import of everything"),
        (name = "live", description = "What happens, as it happens")
    )
)]
struct Annotations;

/// The document that `GET /openapi.json` serves.
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = openapi::document(Annotations::openapi(), &resources());
    openapi::without_required_body(
        &mut document,
        &["erase_me", "allow_token", "admit_token", "close_transaction"],
    );
    document
}

/// A type that documents a merge patch of a document.
macro_rules! merge_patch {
    ($(#[$about:meta])* $name:ident of $document:ty) => {
        $(#[$about])*
        pub(crate) struct $name;

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                $crate::openapi::all_optional(<$document as utoipa::PartialSchema>::schema())
            }
        }

        impl utoipa::ToSchema for $name {
            fn schemas(schemas: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::Schema>)>) {
                <$document as utoipa::ToSchema>::schemas(schemas);
            }
        }
    };
}
pub(crate) use merge_patch;

/// The schema of a merge patch of a document: its members, each optional, without the id.
pub(crate) fn all_optional(draft: RefOr<Schema>) -> RefOr<Schema> {
    match draft {
        RefOr::T(Schema::Object(mut object)) => {
            object.required.clear();
            object.properties.remove("id");
            object.description = Some("A merge patch (RFC 7396): the members that change".to_owned());
            RefOr::T(Schema::Object(object))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_in_the_document_and_nothing_else() {
        assert_eq!(openapi::differences(&document(), &resources()), Vec::<String>::new());
    }
}
