//! The kinds of refusals: what programs tell them apart by. One list, of which the document of each service is made, too.

use actix_web::http::StatusCode;

/// What all refusals of a kind have in common.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    /// Of the document's component and of the type in Rust that stands for it.
    pub(crate) name: &'static str,
    pub(crate) status: StatusCode,
    /// The end of `type`.
    pub(crate) slug: &'static str,
    pub(crate) title: &'static str,
    /// What it means, for whoever reads the document.
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

        /// The same as types, to name them in the annotations of handlers.
        pub mod refusals {
            $(
                #[doc = $about]
                #[derive(Debug)]
                pub struct $name;

                impl utoipa::IntoResponses for $name {
                    fn responses() -> crate::openapi::Answers {
                        crate::openapi::refusal(&super::$constant)
                    }
                }
            )*
        }
    };
}

kinds! {
    Invalid = INVALID: BAD_REQUEST, "invalid-field", "A field is missing or malformed",
        "A field is missing or malformed; `field` names it.";
    Unauthorized = UNAUTHORIZED: UNAUTHORIZED, "unauthorized", "A good API key is needed",
        "There is no key, or it is unknown, has expired or is revoked.";
    Forbidden = FORBIDDEN: FORBIDDEN, "missing-scope", "The key is not good for this",
        "The key is good, but lacks the scope that this needs.";
    NotFound = NOT_FOUND: NOT_FOUND, "not-found", "There is nothing here",
        "There is nothing under this id, name or path.";
    MethodNotAllowed = METHOD_NOT_ALLOWED: METHOD_NOT_ALLOWED, "method-not-allowed", "The method is not allowed",
        "The path is right and the method is not; `Allow` lists those that are.";
    BodyTooSlow = BODY_TOO_SLOW: REQUEST_TIMEOUT, "body-too-slow", "The body did not arrive in time",
        "The body did not arrive in time.";
    Conflict = CONFLICT: CONFLICT, "conflict", "It cannot be done as things stand",
        "It cannot be done as things stand.";
    BodyTooLarge = BODY_TOO_LARGE: PAYLOAD_TOO_LARGE, "body-too-large", "The body is too large",
        "The body is larger than is read here.";
    UnsupportedMediaType = UNSUPPORTED_MEDIA_TYPE: UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type",
        "The body's type is not supported", "The body is of a type that is not read here, or compressed.";
    ConflictingReuse = CONFLICTING_REUSE: UNPROCESSABLE_ENTITY, "conflicting-reuse",
        "A key was used before for another request", "The `Idempotency-Key` was used before, for another request.";
    TooManyRequests = TOO_MANY_REQUESTS: TOO_MANY_REQUESTS, "too-many-requests", "Too many requests",
        "The key, or the address, comes too often; `Retry-After` says when it may come again.";
    Internal = INTERNAL: INTERNAL_SERVER_ERROR, "internal", "Something broke", "A defect of ours.";
    Unavailable = UNAVAILABLE: SERVICE_UNAVAILABLE, "unavailable", "A part of the service is not available",
        "A part that this needs does not answer, `field` says which. Nothing was done, unless `detail` says that \
         something may have been; `request_id` names a request that may still be processed, `report` says what was done.";
}
