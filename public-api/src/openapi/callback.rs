//! The callback, which the worker sends, as a webhook of the document.

use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{Object, ObjectBuilder, Schema, Type};
use utoipa::openapi::{
    Components, ContentBuilder, HttpMethod, OpenApi, PathItem, Paths, Ref, RefOr, Required,
};

/// Also the operation's id.
const WEBHOOK: &str = "decision";
const BODY: &str = "DecisionCallback";

const ABOUT: &str = "Sent to the `callback_url` of a request at least once: deduplicate by `webhook-id`. The headers \
                     are those of Standard Webhooks.";
const SIGNATURES: &str = "If Voltgate has keys to sign with: a `v1` signature (HMAC-SHA256) for each secret and a `v1a` \
                          signature (Ed25519) for each private key, separated by spaces. What is signed is \
                          `webhook-id`, `webhook-timestamp` and the body, with a dot between them.";

/// What follows from each status that a callback host may answer, and whether its `Retry-After` is honoured
/// (`worker/src/callback/retry.rs`).
const ANSWERS: [(&str, &str, bool); 7] = [
    ("2XX", "Delivered. The body is ignored", false),
    ("408", "The decision is sent again later", true),
    ("410", "Final. The URL is not called for five minutes", false),
    ("425", "The decision is sent again later", true),
    ("429", "The decision is sent again later", true),
    ("5XX", "The decision is sent again later", true),
    ("default", "Final, redirects included: the decision becomes a dead letter", false),
];

/// Adds the webhook and the schema of its body.
pub(super) fn describe(document: &mut OpenApi) {
    let components = document.components.get_or_insert_with(Components::new);
    components.schemas.insert(BODY.to_owned(), RefOr::T(body()));
    let webhooks = document.webhooks.get_or_insert_with(Paths::new);
    webhooks.paths.insert(WEBHOOK.to_owned(), PathItem::new(HttpMethod::Post, operation()));
}

fn body() -> Schema {
    let members = [("station_id", "StationId"), ("driver_token", "PresentedToken"), ("status", "Decision")];
    let body = members.into_iter().fold(ObjectBuilder::new(), |body, (name, schema)| {
        body.property(name, Ref::from_schema_name(schema)).required(name)
    });
    body.description(Some("A decision, as it is sent to the callback URL of its request")).build().into()
}

fn operation() -> OperationBuilder {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(BODY))).build();
    let request =
        RequestBodyBuilder::new().content("application/json", content).required(Some(Required::True));
    let operation = OperationBuilder::new()
        .tag("authorization")
        .operation_id(Some(WEBHOOK))
        .summary(Some("The callback: a decision"))
        .description(Some(ABOUT))
        .request_body(Some(request.build()));
    let operation = headers().into_iter().fold(operation, OperationBuilder::parameter);
    ANSWERS.into_iter().fold(operation, |operation, (status, meaning, waits)| {
        let answer = ResponseBuilder::new().description(meaning);
        let answer = if waits { answer.header("Retry-After", retry_after()) } else { answer };
        operation.response(status, answer.build())
    })
}

fn headers() -> [Parameter; 5] {
    let text = |pattern| ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).build();
    let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0_u64)).build();
    let signatures = text("^v1a?,[A-Za-z0-9+/=]+( v1a?,[A-Za-z0-9+/=]+)*$");
    let traceparent = text("^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$");
    [
        always("webhook-id", Ref::from_schema_name("RequestId"), "The request, the same on every attempt"),
        always("webhook-timestamp", seconds, "The time of this attempt, in seconds since 1970"),
        sometimes("webhook-signature", signatures, SIGNATURES),
        always("traceparent", traceparent, "The trace that the request belongs to (W3C Trace Context)"),
        sometimes("tracestate", Object::with_type(Type::String), "That of the request, if it had one"),
    ]
}

fn always(name: &str, schema: impl Into<RefOr<Schema>>, about: &str) -> Parameter {
    header(name, schema, about).required(Required::True).build()
}

fn sometimes(name: &str, schema: impl Into<RefOr<Schema>>, about: &str) -> Parameter {
    header(name, schema, about).required(Required::False).build()
}

fn header(name: &str, schema: impl Into<RefOr<Schema>>, about: &str) -> ParameterBuilder {
    let header = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Header);
    header.schema(Some(schema)).description(Some(about))
}

fn retry_after() -> Header {
    let about = "Seconds or a date, before which the decision is not sent again";
    HeaderBuilder::new().schema(Some(Object::with_type(Type::String))).description(Some(about)).build()
}
