//! Refusals: `application/problem+json` (RFC 9457) with a field that names the culprit.

use std::fmt;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use common::api_key::Scope;
use serde::Serialize;
use serde_json::Value;

/// One refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    kind: &'static str,
    title: &'static str,
    detail: String,
    field: &'static str,
    headers: Vec<(&'static str, String)>,
    report: Option<Box<Value>>,
}

/// What stands in the body.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    field: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<&'a Value>,
}

impl Problem {
    fn new(
        status: StatusCode,
        kind: &'static str,
        title: &'static str,
        field: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        let (detail, headers) = (detail.into(), Vec::new());
        Self { status, kind, title, detail, field, headers, report: None }
    }

    /// 400: this field is missing or malformed.
    pub fn invalid(field: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid-field", "A field is missing or malformed", field, detail)
    }

    /// 404: there is nothing under this id or path.
    pub fn not_found(field: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "There is nothing here", field, detail)
    }

    /// 405: the path is right and the method is not.
    pub fn method_not_allowed(method: &str, allow: &str) -> Self {
        let detail = format!("{method} is not allowed here; allowed: {allow}");
        let status = StatusCode::METHOD_NOT_ALLOWED;
        let problem = Self::new(status, "method-not-allowed", "The method is not allowed", "method", detail);
        problem.with_header(ALLOW.as_str(), allow)
    }

    /// 401: there is no key, or a wrong one was presented (RFC 6750).
    pub fn unauthorized(detail: &str, presented: bool) -> Self {
        let challenge = if presented { "Bearer error=\"invalid_token\"" } else { "Bearer" };
        let title = "A good API key is needed";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", title, "authorization", detail)
            .with_header(WWW_AUTHENTICATE.as_str(), challenge)
    }

    /// 403: the key is good, but not for this.
    pub fn forbidden(sufficient: &[Scope]) -> Self {
        let scopes: Vec<&str> = sufficient.iter().map(|scope| scope.as_str()).collect();
        let detail = format!("the key lacks the scope {}", scopes.join(" or "));
        let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{}\"", scopes.join(" "));
        let title = "The key is not good for this";
        Self::new(StatusCode::FORBIDDEN, "missing-scope", title, "authorization", detail)
            .with_header(WWW_AUTHENTICATE.as_str(), challenge)
    }

    /// 429: too many requests of this key or address.
    pub fn too_many_requests(field: &'static str, wait: Duration) -> Self {
        let detail = format!("too many requests of one {field}; see the header RateLimit-Policy");
        let status = StatusCode::TOO_MANY_REQUESTS;
        let problem = Self::new(status, "too-many-requests", "Too many requests", field, detail);
        problem.retry_after(wait)
    }

    /// 408: the body did not come in time.
    pub fn body_too_slow(limit: Duration) -> Self {
        let detail = format!("the body did not arrive within {} seconds", limit.as_secs());
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "body-too-slow",
            "The body did not arrive in time",
            "body",
            detail,
        )
    }

    /// 409: it cannot be done as things stand.
    pub fn conflict(field: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", "It cannot be done as things stand", field, detail)
    }

    /// 413: the body is larger than it may be.
    pub fn body_too_large(limit: usize) -> Self {
        let detail = format!("the body may have {limit} bytes at most");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "The body is too large", "body", detail)
    }

    /// 415: the body is of a type that is not read here.
    pub fn unsupported_media_type(detail: impl Into<String>) -> Self {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        Self::new(
            status,
            "unsupported-media-type",
            "The body's type is not supported",
            "content-type",
            detail,
        )
    }

    /// 422: this field was used before, for something else.
    pub fn conflicting_reuse(field: &'static str, detail: impl Into<String>) -> Self {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Self::new(status, "conflicting-reuse", "A key was used before for another request", field, detail)
    }

    /// 500: a defect of ours.
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something broke", "server", detail)
    }

    /// 503: a part that this service needs does not answer; the client shall come again after a while.
    pub fn unavailable(part: &'static str, detail: impl Into<String>, retry_after: Duration) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let problem =
            Self::new(status, "unavailable", "A part of the service is not available", part, detail);
        problem.retry_after(retry_after)
    }
}

impl Problem {
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
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        response.content_type("application/problem+json");
        for (name, value) in &self.headers {
            response.insert_header((*name, value.as_str()));
        }
        let body = Body {
            kind: format!("urn:voltgate:problem:{}", self.kind),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            field: self.field,
            report: self.report.as_deref(),
        };
        response.body(serde_json::to_vec(&body).unwrap_or_default())
    }
}
