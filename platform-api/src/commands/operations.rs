//! The typed operations: `POST /api/v1/chargers/{charger}/…`. What OCPP's schema does not allow is refused, and nothing is sent.

use std::fmt;

use actix_web::HttpRequest;
use actix_web::web::Payload;
use charging::Tx;
use charging::stations::charging_stations::Station;
use charging::tokens::IdTag;
use http_server::Problem;
use http_server::openapi::refusals::{
    BodyTooLarge, BodyTooSlow, Conflict, ConflictingReuse, Invalid, NotFound, Unavailable,
    UnsupportedMediaType,
};
use ocpp::v16::to_charger::{
    CertificateSigned, ConnectorId, MessageTrigger, RemoteStartTransaction, RemoteStopTransaction,
    TriggerMessage,
};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::openapi::{KnownFormat, RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

use super::sending::{Operation, Options, Sending};
use super::view::{AcceptedCommand, EndedCommand};
use crate::chargers::ChargerPath;
use crate::error::{Answer, ApiError};
use crate::transactions::{named, no_transaction};

/// A body with the options that each operation has.
macro_rules! operation {
    ($(#[$attribute:meta])* $name:ident { $($(#[$about:meta])* $field:ident: $kind:ty,)* }) => {
        $(#[$attribute])*
        #[derive(Deserialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            $($(#[$about])* pub(super) $field: $kind,)*
            /// How long the charger may take to answer, in seconds; 30 unless given
            #[schema(minimum = 1, maximum = 300)]
            pub(super) timeout_sec: Option<u32>,
            /// How long a charger that is not connected is waited for, in seconds
            #[schema(minimum = 0, maximum = 86_400)]
            pub(super) wait_for_charger_sec: Option<u32>,
            /// How long this request waits for the result, in seconds
            #[schema(minimum = 0, maximum = 30)]
            pub(super) wait_sec: Option<u32>,
        }

        impl $name {
            fn given(&self) -> Result<Options, Problem> {
                Options::of(self.timeout_sec, self.wait_for_charger_sec, self.wait_sec)
            }
        }
    };
}

operation! {
    /// Where a transaction is started, and for whom
    RemoteStart {
        /// The id tag, as the charger will send it
        id_tag: IdTag,
        /// The connector; the charger chooses if absent
        #[schema(minimum = 1)]
        connector_id: Option<i32>,
    }
}

operation! {
    /// Which transaction is stopped
    RemoteStop {
        transaction_id: TransactionName,
    }
}

operation! {
    /// Which message a charger is asked for
    Trigger {
        /// The message
        requested_message: MessageTrigger,
        /// The connector that it is about
        #[schema(minimum = 1)]
        connector_id: Option<i32>,
    }
}

operation! {
    /// A certificate for a charger
    Certificate {
        /// The certificate, and those up to the root, as PEM
        #[schema(pattern = "^-----BEGIN CERTIFICATE-----", max_length = 10_000)]
        certificate_chain: String,
    }
}

/// A transaction: its id, or OCPP's number.
pub(crate) struct TransactionName(String);

/// Start a transaction
///
/// `RemoteStartTransaction`: the charger starts as if the tag were presented. `202` says that it will be sent; how it ended is at
/// `Location`. `409` with the type `urn:voltgate:problem:charger_offline` says that the charger is not connected.
#[utoipa::path(post, path = "/api/v1/chargers/{charger}/remote-start-transaction",
    operation_id = "remote_start_transaction", tag = "commands", request_body = RemoteStart, params(ChargerPath,
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$",
        description = "A repeat with the same key and body sends nothing, for 24 hours")),
    responses((status = 200, description = "It has ended, within `wait_sec`", body = EndedCommand),
        (status = 202, description = "It will be sent", body = AcceptedCommand,
            headers(("Location" = String, description = "The command"))),
        Invalid, NotFound, Conflict, ConflictingReuse, BodyTooLarge, BodyTooSlow, UnsupportedMediaType, Unavailable))]
pub(crate) async fn remote_start_transaction(request: HttpRequest, payload: Payload) -> Answer {
    let route = "POST /api/v1/chargers/{charger}/remote-start-transaction";
    Sending::of(request, payload).await?.answer::<RemoteStart>(route).await
}

/// Stop a transaction
///
/// `RemoteStopTransaction`. A transaction of another charger is not found, and nothing is sent.
#[utoipa::path(post, path = "/api/v1/chargers/{charger}/remote-stop-transaction",
    operation_id = "remote_stop_transaction", tag = "commands", request_body = RemoteStop, params(ChargerPath,
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$",
        description = "A repeat with the same key and body sends nothing, for 24 hours")),
    responses((status = 200, description = "It has ended, within `wait_sec`", body = EndedCommand),
        (status = 202, description = "It will be sent", body = AcceptedCommand,
            headers(("Location" = String, description = "The command"))),
        Invalid, NotFound, Conflict, ConflictingReuse, BodyTooLarge, BodyTooSlow, UnsupportedMediaType, Unavailable))]
pub(crate) async fn remote_stop_transaction(request: HttpRequest, payload: Payload) -> Answer {
    let route = "POST /api/v1/chargers/{charger}/remote-stop-transaction";
    Sending::of(request, payload).await?.answer::<RemoteStop>(route).await
}

/// Ask a charger for a message
///
/// `TriggerMessage`.
#[utoipa::path(post, path = "/api/v1/chargers/{charger}/trigger-message", operation_id = "trigger_message",
    tag = "commands", request_body = Trigger, params(ChargerPath,
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$",
        description = "A repeat with the same key and body sends nothing, for 24 hours")),
    responses((status = 200, description = "It has ended, within `wait_sec`", body = EndedCommand),
        (status = 202, description = "It will be sent", body = AcceptedCommand,
            headers(("Location" = String, description = "The command"))),
        Invalid, NotFound, Conflict, ConflictingReuse, BodyTooLarge, BodyTooSlow, UnsupportedMediaType, Unavailable))]
pub(crate) async fn trigger_message(request: HttpRequest, payload: Payload) -> Answer {
    let route = "POST /api/v1/chargers/{charger}/trigger-message";
    Sending::of(request, payload).await?.answer::<Trigger>(route).await
}

/// Send a signed certificate
///
/// `CertificateSigned`: the answer to what the charger wants to have signed.
#[utoipa::path(post, path = "/api/v1/chargers/{charger}/certificate-signed", operation_id = "certificate_signed",
    tag = "commands", request_body = Certificate, params(ChargerPath,
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$",
        description = "A repeat with the same key and body sends nothing, for 24 hours")),
    responses((status = 200, description = "It has ended, within `wait_sec`", body = EndedCommand),
        (status = 202, description = "It will be sent", body = AcceptedCommand,
            headers(("Location" = String, description = "The command"))),
        Invalid, NotFound, Conflict, ConflictingReuse, BodyTooLarge, BodyTooSlow, UnsupportedMediaType, Unavailable))]
pub(crate) async fn certificate_signed(request: HttpRequest, payload: Payload) -> Answer {
    let route = "POST /api/v1/chargers/{charger}/certificate-signed";
    Sending::of(request, payload).await?.answer::<Certificate>(route).await
}

impl Operation for RemoteStart {
    type Request = RemoteStartTransaction;

    fn options(&self) -> Result<Options, Problem> {
        self.given()
    }

    async fn request(&self, _: &mut Tx, _: &Station) -> Result<RemoteStartTransaction, ApiError> {
        Ok(start(&self.id_tag, self.connector_id)?)
    }
}

impl Operation for RemoteStop {
    type Request = RemoteStopTransaction;

    fn options(&self) -> Result<Options, Problem> {
        self.given()
    }

    async fn request(&self, tx: &mut Tx, station: &Station) -> Result<RemoteStopTransaction, ApiError> {
        let session = named(tx, &self.transaction_id.0).await?;
        let session = session.filter(|session| session.station_id == station.row.id);
        let number = session.and_then(|session| i32::try_from(session.number).ok());
        Ok(RemoteStopTransaction { transaction_id: number.ok_or_else(no_transaction)? })
    }
}

impl Operation for Trigger {
    type Request = TriggerMessage;

    fn options(&self) -> Result<Options, Problem> {
        self.given()
    }

    async fn request(&self, _: &mut Tx, _: &Station) -> Result<TriggerMessage, ApiError> {
        let connector_id = connector(self.connector_id)?;
        Ok(TriggerMessage { requested_message: self.requested_message, connector_id })
    }
}

impl Operation for Certificate {
    type Request = CertificateSigned;

    fn options(&self) -> Result<Options, Problem> {
        self.given()
    }

    async fn request(&self, _: &mut Tx, _: &Station) -> Result<CertificateSigned, ApiError> {
        let begins = |chain: &&String| chain.starts_with("-----BEGIN CERTIFICATE-----");
        let chain = Some(&self.certificate_chain).filter(begins);
        let expected = || {
            Problem::invalid("certificate_chain", "expected certificates as PEM, 10,000 characters at most")
        };
        Ok(chain.and_then(|chain| CertificateSigned::new(chain)).ok_or_else(expected)?)
    }
}

/// The request that starts a transaction.
pub(super) fn start(id_tag: &IdTag, connector_id: Option<i32>) -> Result<RemoteStartTransaction, Problem> {
    let expected = || Problem::invalid("id_tag", "expected 1 to 20 characters");
    let id_tag = ocpp::v16::IdTag::new(id_tag.expose()).ok_or_else(expected)?;
    Ok(RemoteStartTransaction { connector_id: connector(connector_id)?, id_tag })
}

fn connector(number: Option<i32>) -> Result<Option<ConnectorId>, Problem> {
    let known = |number| ConnectorId::new(number);
    let expected = || Problem::invalid("connector_id", "expected a number from 1");
    number.map(|number| known(number).ok_or_else(expected)).transpose()
}

impl<'de> Deserialize<'de> for TransactionName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;

        impl Visitor<'_> for Name {
            type Value = TransactionName;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the id of a transaction, or its number")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<TransactionName, E> {
                Ok(TransactionName(text.to_owned()))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<TransactionName, E> {
                Ok(TransactionName(number.to_string()))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<TransactionName, E> {
                Ok(TransactionName(number.to_string()))
            }
        }

        deserializer.deserialize_any(Name)
    }
}

impl PartialSchema for TransactionName {
    fn schema() -> RefOr<Schema> {
        let id = ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)));
        let number = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(i32::MAX));
        let about = "The transaction: its id, or OCPP's number";
        Schema::OneOf(OneOfBuilder::new().item(id).item(number).description(Some(about)).build()).into()
    }
}

impl ToSchema for TransactionName {}
