//! Answers that carry a document.

use actix_web::HttpResponse;
use actix_web::http::header::{ETAG, LOCATION};
use charging::idempotency;
use http_server::conditional::etag;
use serde::Serialize;

/// A document that was read or changed, with its version.
pub(crate) fn document(version: i64, body: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok().insert_header((ETAG, etag(version))).json(body)
}

/// A document that was created.
pub(crate) fn created(place: &str, version: i64, body: &impl Serialize) -> idempotency::Answer {
    idempotency::Answer {
        status: 201,
        headers: serde_json::json!({"location": place, "etag": etag(version)}),
        body: serde_json::to_string(body).unwrap_or_default(),
    }
}

/// The answer to a POST, the first time or again.
pub(crate) fn repeat(answer: &idempotency::Answer) -> HttpResponse {
    let status = u16::try_from(answer.status)
        .ok()
        .and_then(|status| actix_web::http::StatusCode::from_u16(status).ok());
    let mut response = HttpResponse::build(status.unwrap_or_default());
    for (name, header) in [("location", LOCATION), ("etag", ETAG)] {
        if let Some(value) = answer.headers.get(name).and_then(|value| value.as_str()) {
            response.insert_header((header, value));
        }
    }
    response.content_type("application/json").body(answer.body.clone())
}
