//! Errors of requests about access lists, and the problem that the client receives.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use common::ids::{MalformedToken, NotUuid};
use http_server::Problem;
use serde_json::Value;
use store::StoreError;

/// The result of a handler.
pub(crate) type Answer = Result<HttpResponse, AclError>;

/// Why acl-service rejects a request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AclError {
    /// The station is malformed.
    #[error("station_id: {0}")]
    Station(#[from] NotUuid),
    /// The driver token in the path is malformed.
    #[error("driver_token: {0}")]
    Token(#[from] MalformedToken),
    /// The request violates the route's format.
    #[error(transparent)]
    Request(#[from] Problem),
    /// The store became unreachable after a part of the work was done.
    #[error("the access lists can no longer be reached: {error}")]
    Interrupted {
        /// The cause.
        error: StoreError,
        /// The work done so far.
        report: Value,
    },
    /// The store cannot be reached.
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
                tracing::error!(%error, "a change of many entries was interrupted");
                let detail = "the access lists can no longer be reached; `report` says what was done by then, \
                              and the whole call may be repeated";
                Problem::unavailable("store", detail, Duration::from_secs(1)).with_report(report.clone())
            }
            Self::Store(error @ StoreError::BadCursor) => Problem::invalid("cursor", error.to_string()),
            Self::Store(error) => {
                tracing::error!(%error, "the access lists cannot be reached");
                // A write without a response may have succeeded.
                let detail =
                    "the access lists cannot be reached; a change may have been made, and may be repeated";
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
