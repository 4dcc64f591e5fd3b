//! The kinds of problems as types, so that the annotations of handlers can name them.

use super::answers::{Answers, refusal};
use crate::problem::kind;

macro_rules! refusals {
    ($($name:ident = $kind:ident,)*) => {
        $(
            /// The responses with this kind of problem.
            #[derive(Debug)]
            pub struct $name;

            impl utoipa::IntoResponses for $name {
                fn responses() -> Answers {
                    refusal(&kind::$kind)
                }
            }
        )*

        const _: () = assert!([$(stringify!($name)),*].len() == kind::ALL.len(), "a kind has no type here");
    };
}

refusals! {
    Invalid = INVALID,
    Unauthorized = UNAUTHORIZED,
    SecondFactor = SECOND_FACTOR,
    Forbidden = FORBIDDEN,
    NotFound = NOT_FOUND,
    MethodNotAllowed = METHOD_NOT_ALLOWED,
    BodyTooSlow = BODY_TOO_SLOW,
    Conflict = CONFLICT,
    PreconditionFailed = PRECONDITION_FAILED,
    BodyTooLarge = BODY_TOO_LARGE,
    UnsupportedMediaType = UNSUPPORTED_MEDIA_TYPE,
    ConflictingReuse = CONFLICTING_REUSE,
    PreconditionRequired = PRECONDITION_REQUIRED,
    TooManyRequests = TOO_MANY_REQUESTS,
    Internal = INTERNAL,
    Unavailable = UNAVAILABLE,
}
