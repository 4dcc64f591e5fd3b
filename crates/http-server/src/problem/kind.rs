//! The kinds of problems, by which programs distinguish them. Each service's document is made from the same list.

use actix_web::http::StatusCode;

/// What all problems of a kind have in common.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    /// The name of the document's component, and of the type in `openapi::refusals`.
    pub(crate) name: &'static str,
    pub(crate) status: StatusCode,
    /// The last part of `type`.
    pub(crate) slug: &'static str,
    pub(crate) title: &'static str,
    /// The meaning, for readers of the document.
    pub(crate) about: &'static str,
}

impl Kind {
    /// The member `type` of the body.
    pub(crate) fn urn(&self) -> String {
        format!("urn:voltgate:problem:{}", self.slug)
    }
}

macro_rules! kinds {
    ($($name:ident = $constant:ident: $status:ident, $slug:literal, $title:literal, $about:literal;)*) => {
        $(pub(crate) const $constant: Kind = Kind {
            name: stringify!($name),
            status: StatusCode::$status,
            slug: $slug,
            title: $title,
            about: $about,
        };)*

        pub(crate) const ALL: [&Kind; [$($slug),*].len()] = [$(&$constant),*];
    };
}

/// It is in no document: only chargers, which have none, are refused so.
pub(crate) const DISABLED: Kind = Kind {
    name: "Disabled",
    status: StatusCode::FORBIDDEN,
    slug: "disabled",
    title: "Disabled",
    about: "The caller is known, and was disabled by an operator.",
};

/// In the documents it is a `Conflict`, as a status has one response there.
pub(crate) const CHARGER_OFFLINE: Kind = Kind {
    name: "Conflict",
    status: StatusCode::CONFLICT,
    slug: "charger_offline",
    title: "The charger is not connected",
    about: "The charger is not connected, and the request does not wait for it.",
};

kinds! {
    Invalid = INVALID: BAD_REQUEST, "invalid-field", "A field is missing or malformed",
        "A field is missing or malformed; `field` names it.";
    Unauthorized = UNAUTHORIZED: UNAUTHORIZED, "unauthorized", "Valid credentials are required",
        "There is no key and no access token, or it is unknown, has expired or is revoked.";
    SecondFactor = SECOND_FACTOR: UNAUTHORIZED, "second_factor", "A one-time password is required",
        "The password is right; repeat the request with `otp`.";
    Forbidden = FORBIDDEN: FORBIDDEN, "missing-scope", "Insufficient scope",
        "The caller is known, but lacks the required scope or role.";
    NotFound = NOT_FOUND: NOT_FOUND, "not-found", "Not found",
        "Nothing exists under this id, name or path.";
    MethodNotAllowed = METHOD_NOT_ALLOWED: METHOD_NOT_ALLOWED, "method-not-allowed", "The method is not allowed",
        "The resource does not support the method; `Allow` lists the methods that it supports.";
    BodyTooSlow = BODY_TOO_SLOW: REQUEST_TIMEOUT, "body-too-slow", "The body did not arrive in time",
        "The body did not arrive in time.";
    Conflict = CONFLICT: CONFLICT, "conflict", "Conflict with the current state",
        "The request conflicts with the current state.";
    PreconditionFailed = PRECONDITION_FAILED: PRECONDITION_FAILED, "precondition-failed", "The document has changed",
        "`If-Match` names another version of the document than the current one.";
    BodyTooLarge = BODY_TOO_LARGE: PAYLOAD_TOO_LARGE, "body-too-large", "The body is too large",
        "The body exceeds the size limit.";
    UnsupportedMediaType = UNSUPPORTED_MEDIA_TYPE: UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type",
        "The body's type is not supported", "The body has an unsupported type, or is compressed.";
    ConflictingReuse = CONFLICTING_REUSE: UNPROCESSABLE_ENTITY, "conflicting-reuse",
        "A key was reused for another request", "The `Idempotency-Key` was used before for another request.";
    PreconditionRequired = PRECONDITION_REQUIRED: PRECONDITION_REQUIRED, "precondition-required", "If-Match is required",
        "The request must name the version of the document that it changes.";
    TooManyRequests = TOO_MANY_REQUESTS: TOO_MANY_REQUESTS, "too-many-requests", "Too many requests",
        "The key, or the address, exceeds its rate limit; `Retry-After` says when to retry.";
    Internal = INTERNAL: INTERNAL_SERVER_ERROR, "internal", "Internal error", "A defect in Voltgate.";
    Unavailable = UNAVAILABLE: SERVICE_UNAVAILABLE, "unavailable", "A part of the service is not available",
        "A part that this needs does not answer; `field` names it. Nothing was done, unless `detail` says that \
         something may have been; `request_id` names a request that may still be processed; `report` says what was done.";
}
