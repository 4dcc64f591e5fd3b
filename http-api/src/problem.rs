//! Refusals: `application/problem+json` (RFC 9457) with a field that names the culprit.

pub(crate) mod kind;

use std::fmt;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT_ENCODING, ALLOW, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use common::api_key::Scope;
use common::ids::RequestId;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

pub(crate) use self::kind::Kind;
pub use self::kind::refusals;

/// One refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    kind: &'static Kind,
    detail: String,
    field: &'static str,
    headers: Vec<(&'static str, String)>,
    report: Option<Box<Value>>,
    request_id: Option<RequestId>,
}

/// A refusal, as RFC 9457 has it.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct Body<'a> {
    /// What programs tell refusals apart by: `urn:voltgate:problem:` and a word.
    #[serde(rename = "type")]
    kind: String,
    /// The same for people.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// What is wrong with this request.
    detail: &'a str,
    /// The part of the request, or of the service, that is at fault.
    field: &'a str,
    /// What was done before it came to this, where something was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    report: Option<&'a Value>,
    /// The request that may be processed all the same, where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<RequestId>,
}

impl Problem {
    fn new(kind: &'static Kind, field: &'static str, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), field, headers: Vec::new(), report: None, request_id: None }
    }

    /// 400: this field is missing or malformed.
    pub fn invalid(field: &'static str, detail: impl Into<String>) -> Self {
        Self::new(&kind::INVALID, field, detail)
    }

    /// 404: there is nothing under this id or path.
    pub fn not_found(field: &'static str, detail: impl Into<String>) -> Self {
        Self::new(&kind::NOT_FOUND, field, detail)
    }

    /// 405: the path is right and the method is not.
    pub fn method_not_allowed(method: &str, allow: &str) -> Self {
        let detail = format!("{method} is not allowed here; allowed: {allow}");
        Self::new(&kind::METHOD_NOT_ALLOWED, "method", detail).with_header(ALLOW.as_str(), allow)
    }

    /// 401: there is no key, or a wrong one was presented (RFC 6750).
    pub fn unauthorized(detail: &str, presented: bool) -> Self {
        let challenge = if presented { "Bearer error=\"invalid_token\"" } else { "Bearer" };
        Self::new(&kind::UNAUTHORIZED, "authorization", detail)
            .with_header(WWW_AUTHENTICATE.as_str(), challenge)
    }

    /// 403: the key is good, but not for this.
    pub fn forbidden(sufficient: &[Scope]) -> Self {
        let scopes: Vec<&str> = sufficient.iter().map(|scope| scope.as_str()).collect();
        let detail = format!("the key lacks the scope {}", scopes.join(" or "));
        let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{}\"", scopes.join(" "));
        Self::new(&kind::FORBIDDEN, "authorization", detail).with_header(WWW_AUTHENTICATE.as_str(), challenge)
    }

    /// 429: too many requests of this key or address.
    pub fn too_many_requests(field: &'static str, wait: Duration) -> Self {
        let detail = format!("too many requests of one {field}; see the header RateLimit-Policy");
        Self::new(&kind::TOO_MANY_REQUESTS, field, detail).retry_after(wait)
    }

    /// 408: the body did not come in time.
    pub fn body_too_slow(limit: Duration) -> Self {
        let detail = format!("the body did not arrive within {} seconds", limit.as_secs());
        Self::new(&kind::BODY_TOO_SLOW, "body", detail)
    }

    /// 409: it cannot be done as things stand.
    pub fn conflict(field: &'static str, detail: impl Into<String>) -> Self {
        Self::new(&kind::CONFLICT, field, detail)
    }

    /// 413: the body is larger than it may be.
    pub fn body_too_large(limit: usize) -> Self {
        Self::new(&kind::BODY_TOO_LARGE, "body", format!("the body may have {limit} bytes at most"))
    }

    /// 415: the body is of a type that is not read here.
    pub fn unsupported_media_type(detail: impl Into<String>) -> Self {
        Self::new(&kind::UNSUPPORTED_MEDIA_TYPE, "content-type", detail)
    }

    /// 415: the body is compressed, which is not read here (RFC 9110, 15.5.16).
    pub fn unsupported_content_encoding(why: &str) -> Self {
        let detail = format!("{why}; it has to be sent as it is");
        Self::new(&kind::UNSUPPORTED_MEDIA_TYPE, "content-encoding", detail)
            .with_header(ACCEPT_ENCODING.as_str(), "identity")
    }

    /// 422: this field was used before, for something else.
    pub fn conflicting_reuse(field: &'static str, detail: impl Into<String>) -> Self {
        Self::new(&kind::CONFLICTING_REUSE, field, detail)
    }

    /// 500: a defect of ours.
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::new(&kind::INTERNAL, "server", detail)
    }

    /// 503: a part that this service needs does not answer; the client shall come again after a while.
    pub fn unavailable(part: &'static str, detail: impl Into<String>, retry_after: Duration) -> Self {
        Self::new(&kind::UNAVAILABLE, part, detail).retry_after(retry_after)
    }

    /// 503 where it is not known whether the request was taken: a part did not confirm it. It is named, so that the client
    /// knows it when it is processed after all.
    pub fn unconfirmed(part: &'static str, detail: &str, request: RequestId, retry_after: Duration) -> Self {
        let place = format!("/requests/{request}");
        let detail = format!("not confirmed, may still be processed: {detail}; GET {place} shows it then");
        Self { request_id: Some(request), ..Self::unavailable(part, detail, retry_after) }
            .with_header(LOCATION.as_str(), place)
    }
}

impl Problem {
    /// The field, part or header that is the culprit.
    pub fn field(&self) -> &'static str {
        self.field
    }

    /// The same with one more header.
    #[must_use]
    pub(crate) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// In whole seconds, at least one.
    fn retry_after(self, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.with_header(RETRY_AFTER.as_str(), seconds.max(1).to_string())
    }

    /// The same with a member `report` (RFC 9457, 3.2): what was done before it came to this.
    #[must_use]
    pub fn with_report(self, report: Value) -> Self {
        Self { report: Some(Box::new(report)), ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.detail)
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.kind.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.kind.status);
        response.content_type("application/problem+json");
        for (name, value) in &self.headers {
            response.insert_header((*name, value.as_str()));
        }
        let body = Body {
            kind: self.kind.urn(),
            title: self.kind.title,
            status: self.kind.status.as_u16(),
            detail: &self.detail,
            field: self.field,
            report: self.report.as_deref(),
            request_id: self.request_id,
        };
        response.body(serde_json::to_vec(&body).unwrap_or_default())
    }
}
