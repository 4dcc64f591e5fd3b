//! Errors: `application/problem+json` (RFC 9457) with a member `field` that names the cause.

pub(crate) mod kind;

use std::borrow::Cow;
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
use crate::accounts::Permission;

/// One error response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    kind: &'static Kind,
    detail: String,
    field: Cow<'static, str>,
    headers: Vec<(&'static str, String)>,
    report: Option<Box<Value>>,
    request_id: Option<RequestId>,
}

/// A problem, as in RFC 9457
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct Body<'a> {
    /// The kind of problem, for programs: `urn:voltgate:problem:` and a word
    #[serde(rename = "type")]
    #[schema(example = "urn:voltgate:problem:invalid-field")]
    kind: String,
    /// The kind of problem, for people
    title: &'a str,
    /// The HTTP status
    status: u16,
    /// What is wrong with this request
    detail: &'a str,
    /// The part of the request, or of the service, that is at fault
    field: &'a str,
    /// What was done before the problem occurred, if anything
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object, required = false)]
    report: Option<&'a Value>,
    /// The request that may still be processed, if that is unknown
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = RequestId, required = false)]
    request_id: Option<RequestId>,
}

impl Problem {
    fn new(kind: &'static Kind, field: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        let (field, detail) = (field.into(), detail.into());
        Self { kind, detail, field, headers: Vec::new(), report: None, request_id: None }
    }

    /// 400: the field is missing or malformed.
    pub fn invalid(field: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self::new(&kind::INVALID, field, detail)
    }

    /// 404: nothing exists under this id or path.
    pub fn not_found(field: &'static str, detail: impl Into<String>) -> Self {
        Self::new(&kind::NOT_FOUND, field, detail)
    }

    /// 405: the path exists, but does not support the method.
    pub fn method_not_allowed(method: &str, allow: &str) -> Self {
        let detail = format!("{method} is not allowed here; allowed: {allow}");
        Self::new(&kind::METHOD_NOT_ALLOWED, "method", detail).with_header(ALLOW.as_str(), allow)
    }

    /// 401: the key is missing or wrong (RFC 6750).
    pub fn unauthorized(detail: &str, presented: bool) -> Self {
        let challenge = if presented { "Bearer error=\"invalid_token\"" } else { "Bearer" };
        Self::new(&kind::UNAUTHORIZED, "authorization", detail)
            .with_header(WWW_AUTHENTICATE.as_str(), challenge)
    }

    /// 403: the key is valid, but lacks the scope.
    pub fn forbidden(sufficient: &[Scope]) -> Self {
        let scopes: Vec<&str> = sufficient.iter().map(|scope| scope.as_str()).collect();
        let detail = format!("the key lacks the scope {}", scopes.join(" or "));
        let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{}\"", scopes.join(" "));
        Self::new(&kind::FORBIDDEN, "authorization", detail).with_header(WWW_AUTHENTICATE.as_str(), challenge)
    }

    /// 403: the account has none of the roles.
    pub fn not_permitted(permission: &Permission) -> Self {
        let roles: Vec<&str> = permission.roles.iter().map(|role| role.as_str()).collect();
        let detail = match roles.is_empty() {
            true => format!("{}: only by a key", permission.name),
            false => format!("{}: only by accounts with the role {}", permission.name, roles.join(" or ")),
        };
        Self::new(&kind::FORBIDDEN, "authorization", detail)
            .with_header(WWW_AUTHENTICATE.as_str(), "Bearer error=\"insufficient_scope\"")
    }

    /// 403: the caller is known, and was disabled.
    pub fn disabled(field: &'static str, detail: impl Into<String>) -> Self {
        Self::new(&kind::DISABLED, field, detail)
    }

    /// 401 for a charger, whose password comes by `Basic` (RFC 7617).
    pub fn basic_credentials(realm: &str, detail: &str) -> Self {
        Self::new(&kind::UNAUTHORIZED, "authorization", detail)
            .with_header(WWW_AUTHENTICATE.as_str(), format!("Basic realm=\"{realm}\""))
    }

    /// 401: sign-in, refresh or code refused. The same text whatever the reason.
    pub fn refused_credentials(detail: &'static str) -> Self {
        Self::unauthorized(detail, false)
    }

    /// 401: the password is right, and a one-time password is due.
    pub fn second_factor(detail: &'static str) -> Self {
        Self::new(&kind::SECOND_FACTOR, "otp", detail).with_header(WWW_AUTHENTICATE.as_str(), "Bearer")
    }

    /// 429: too many requests with this key or from this address.
    pub(crate) fn too_many_requests(field: &'static str, wait: Duration) -> Self {
        let detail = format!("too many requests of one {field}; see the header RateLimit-Policy");
        Self::new(&kind::TOO_MANY_REQUESTS, field, detail).retry_after(wait)
    }

    /// 408: the body did not arrive in time.
    pub fn body_too_slow(limit: Duration) -> Self {
        let detail = format!("the body did not arrive within {} seconds", limit.as_secs());
        Self::new(&kind::BODY_TOO_SLOW, "body", detail)
    }

    /// 409: the request conflicts with the current state.
    pub fn conflict(field: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self::new(&kind::CONFLICT, field, detail)
    }

    /// 409: the charger is not connected, and the request does not wait for it.
    pub fn charger_offline() -> Self {
        let detail = "the charger is not connected; wait_for_charger_sec waits for it";
        Self::new(&kind::CHARGER_OFFLINE, "charger", detail)
    }

    /// 412: the document has changed since the version that the client knows.
    pub fn precondition_failed() -> Self {
        let detail = "If-Match is not the current ETag, which is in double quotes: the document may have changed; read it \
                      again, and repeat the change with its ETag";
        Self::new(&kind::PRECONDITION_FAILED, "if-match", detail)
    }

    /// 428: the request must say which version of the document it is about (RFC 6585).
    pub fn precondition_required() -> Self {
        let detail = "If-Match is required: the ETag of the document with its quotes, as GET returned it";
        Self::new(&kind::PRECONDITION_REQUIRED, "if-match", detail)
    }

    /// 413: the body is too large.
    pub fn body_too_large(limit: usize) -> Self {
        Self::new(&kind::BODY_TOO_LARGE, "body", format!("the body may have {limit} bytes at most"))
    }

    /// 415: the body's type is not supported.
    pub fn unsupported_media_type(detail: impl Into<String>) -> Self {
        Self::new(&kind::UNSUPPORTED_MEDIA_TYPE, "content-type", detail)
    }

    /// 415: the body is compressed, which is not supported (RFC 9110, 15.5.16).
    pub fn unsupported_content_encoding(why: &str) -> Self {
        let detail = format!("{why}; send it uncompressed");
        Self::new(&kind::UNSUPPORTED_MEDIA_TYPE, "content-encoding", detail)
            .with_header(ACCEPT_ENCODING.as_str(), "identity")
    }

    /// 422: the field was used before for something else.
    pub fn conflicting_reuse(field: &'static str, detail: impl Into<String>) -> Self {
        Self::new(&kind::CONFLICTING_REUSE, field, detail)
    }

    /// 500: a defect in Voltgate.
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::new(&kind::INTERNAL, "server", detail)
    }

    /// 503: a part that this service needs does not answer. The client should retry after a while.
    pub fn unavailable(part: &'static str, detail: impl Into<String>, retry_after: Duration) -> Self {
        Self::new(&kind::UNAVAILABLE, part, detail).retry_after(retry_after)
    }

    /// 503 where a part did not confirm the request, so it is unknown whether the request was accepted. The response
    /// names the request, so that the client recognizes it if it is processed after all.
    pub fn unconfirmed(part: &'static str, detail: &str, request: RequestId, retry_after: Duration) -> Self {
        let place = format!("/requests/{request}");
        let detail = format!("not confirmed, may still be processed: {detail}; GET {place} shows it then");
        Self { request_id: Some(request), ..Self::unavailable(part, detail, retry_after) }
            .with_header(LOCATION.as_str(), place)
    }
}

impl Problem {
    /// The field, part or header at fault.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// What is wrong.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The same about a part of a larger document: `name` becomes `stations.0.name`.
    #[must_use]
    pub fn below(self, place: &str) -> Self {
        Self { field: format!("{place}.{}", self.field).into(), ..self }
    }

    /// Adds a header.
    #[must_use]
    pub(crate) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Adds `Retry-After`, in whole seconds, at least one.
    fn retry_after(self, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.with_header(RETRY_AFTER.as_str(), seconds.max(1).to_string())
    }

    /// Adds a member `report` (RFC 9457, 3.2): what was done before the problem occurred.
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
            field: &self.field,
            report: self.report.as_deref(),
            request_id: self.request_id,
        };
        response.body(serde_json::to_vec(&body).unwrap_or_default())
    }
}
