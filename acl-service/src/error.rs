//! What can go wrong over an access list, and what the caller is told.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use common::ids::{MalformedToken, NotUuid};
use http_api::Problem;
use serde_json::Value;
use store::StoreError;

/// What a handler gives.
pub(crate) type Answer = Result<HttpResponse, AclError>;

/// Why acl-service refuses.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AclError {
    /// The station is none.
    #[error("station_id: {0}")]
    Station(#[from] NotUuid),
    /// The driver token in the path is none.
    #[error("driver_token: {0}")]
    Token(#[from] MalformedToken),
    /// The request is not what the route wants.
    #[error(transparent)]
    Request(#[from] Problem),
    /// The lists cannot be reached any more, and part of the work is done.
    #[error("the access lists cannot be reached any more: {error}")]
    Interrupted {
        /// Why.
        error: StoreError,
        /// What was done by then.
        report: Value,
    },
    /// The lists cannot be reached.
    #[error("the access lists cannot be reached: {0}")]
    Store(#[from] StoreError),
}

impl AclError {
    fn problem(&self) -> Problem {
        match self {
            Self::Station(error) => Problem::invalid("station_id", error.to_string()),
            Self::Token(error) => Problem::invalid("driver_token", error.to_string()),
            Self::Request(problem) => problem.clone(),
            Self::Interrupted { error, report } => {
                tracing::error!(%error, "a change of many entries was cut off");
                let detail = "the access lists cannot be reached any more; `report` says what was done by then, \
                              and the whole call may be repeated";
                Problem::unavailable("store", detail, Duration::from_secs(1)).with_report(report.clone())
            }
            Self::Store(error @ StoreError::BadCursor) => Problem::invalid("cursor", error.to_string()),
            Self::Store(error) => {
                tracing::error!(%error, "the access lists cannot be reached");
                // A write that had no answer may be there.
                let detail = "the access lists cannot be reached; a change may have been made, and may be asked for again";
                Problem::unavailable("store", detail, Duration::from_secs(1))
            }
        }
    }
}

impl ResponseError for AclError {
    fn status_code(&self) -> StatusCode {
        self.problem().status_code()
    }

    fn error_response(&self) -> HttpResponse {
        self.problem().error_response()
    }
}
