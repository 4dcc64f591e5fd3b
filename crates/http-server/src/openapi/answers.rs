//! Responses that all operations share: errors by kind, and their headers.

use std::collections::BTreeMap;

use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::Operation;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, Ref, RefOr};

use crate::problem::kind::{ALL, Kind};

/// The responses of an operation, by status.
pub type Answers = BTreeMap<String, RefOr<Response>>;

/// Headers by name.
pub(super) type Headers = BTreeMap<String, RefOr<Header>>;

const RATE_LIMIT: [&str; 2] = ["RateLimit-Policy", "RateLimit"];

/// The response to an error of this kind.
pub(crate) fn refusal(kind: &Kind) -> Answers {
    let answer = RefOr::Ref(Ref::from_response_name(kind.name));
    [(kind.status.as_str().to_owned(), answer)].into()
}

/// Adds the response to an error of this kind. Where the operation answers with a page of its own, the status has both.
pub(super) fn add(answers: &mut Answers, kind: &Kind) {
    match answers.get_mut(kind.status.as_str()) {
        Some(RefOr::T(page)) => {
            let Response { content, headers, .. } = component(kind);
            page.content.extend(content);
            page.headers.extend(headers);
        }
        Some(RefOr::Ref(_)) | None => answers.extend(refusal(kind)),
    }
}

/// All kinds, for the document's components.
pub(super) fn components() -> Answers {
    ALL.iter().map(|kind| (kind.name.to_owned(), RefOr::T(component(kind)))).collect()
}

/// The responses to `HEAD` that correspond to these responses to `GET`.
pub(super) fn head(get: &Operation) -> Operation {
    let mut head = get.clone();
    head.operation_id = head.operation_id.map(|id| format!("{id}_head"));
    for answer in head.responses.responses.values_mut() {
        if let RefOr::T(answer) = answer {
            answer.content.clear();
        }
    }
    head
}

/// The headers that report the caller's quota.
pub(super) fn rate_limit() -> Headers {
    let header = |name: &str| (name.to_owned(), RefOr::Ref(Ref::new(format!("#/components/headers/{name}"))));
    RATE_LIMIT.map(header).into()
}

/// The headers that responses share, for the document's components.
pub(super) fn shared_headers() -> Headers {
    let policy = "The quota and its window in seconds, where there is a limit: `\"key\";q=2000;w=2`";
    let standing = "The remaining quota, and the seconds until it is full again: `\"key\";r=1999;t=1`";
    RATE_LIMIT
        .into_iter()
        .zip([policy, standing])
        .map(|(name, about)| header(name, Type::String, about))
        .collect()
}

fn component(kind: &Kind) -> Response {
    // Only a reference: of a schema for each kind, generators make a type for each response of each operation.
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let about = format!("{} Its `type` is `{}`.", kind.about, kind.urn());
    let mut answer =
        ResponseBuilder::new().description(about).content("application/problem+json", content).build();
    answer.headers.extend(headers(kind));
    answer
}

fn headers(kind: &Kind) -> Headers {
    let retry_after = || header("Retry-After", Type::Integer, "Seconds to wait before a retry");
    match kind.status.as_u16() {
        401 | 403 => [header("WWW-Authenticate", Type::String, "`Bearer`, and why (RFC 6750)")].into(),
        405 => [header("Allow", Type::String, "The methods of the resource")].into(),
        429 => rate_limit().into_iter().chain([retry_after()]).collect(),
        503 => [retry_after()].into(),
        _ => BTreeMap::new(),
    }
}

fn header(name: &str, kind: Type, about: &str) -> (String, RefOr<Header>) {
    let schema = ObjectBuilder::new().schema_type(kind).build();
    let header = HeaderBuilder::new().schema(Some(schema)).description(Some(about)).build();
    (name.to_owned(), RefOr::T(header))
}
