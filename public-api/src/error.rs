//! Why public-api rejects requests, and the problem that the client receives.

use std::time::Duration;

use crate::metrics;
use ::metrics::counter;
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use common::callback_url::CallbackUrlError;
use common::ids::{NotUuid, RequestId};
use http_server::Problem;
use store::StoreError;
use task_queue::PublishError;

/// How long to wait until the queue may be shorter.
const QUEUE_TOO_OLD_FOR: Duration = Duration::from_secs(5);

/// Errors of public-api's handlers.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// The station in the path is malformed.
    #[error("station_id: {0}")]
    Station(#[from] NotUuid),
    /// The callback URL may not be called.
    #[error("callback_url: {0}")]
    CallbackUrl(#[from] CallbackUrlError),
    /// The request violates the route's format.
    #[error(transparent)]
    Request(#[from] Problem),
    /// The key was used for another request.
    #[error("the idempotency key was used before for another request")]
    IdempotencyKeyReused,
    /// The task was certainly not published.
    #[error("the task queue: {0}")]
    Queue(PublishError),
    /// The task may have been published.
    #[error("the task queue: {why}")]
    Unconfirmed {
        /// The request in question.
        request: RequestId,
        /// The reason.
        why: String,
    },
    /// The request would be decided `unknown`, because the requests before it have waited for too long.
    #[error("the task queue is older than the deadline of a request")]
    QueueTooOld,
    /// The store cannot be reached.
    #[error("the store: {0}")]
    Store(#[source] StoreError),
}

impl ApiError {
    /// The error for this request's failed publish.
    pub(crate) fn unpublished(request: RequestId, error: PublishError) -> Self {
        match error {
            PublishError::Unconfirmed(why) => Self::Unconfirmed { request, why: why.to_string() },
            PublishError::Unavailable(_) | PublishError::Unroutable(_) | PublishError::TooLarge(_) => {
                Self::Queue(error)
            }
        }
    }

    /// The same error for a request that was tried before, and may be in the queue since then.
    #[must_use]
    pub(crate) fn after_another_try(self, request: RequestId) -> Self {
        match self {
            Self::Queue(_) | Self::QueueTooOld => Self::Unconfirmed { request, why: self.to_string() },
            other => other,
        }
    }

    /// The request that may have been accepted nevertheless.
    pub(crate) fn unconfirmed(&self) -> Option<RequestId> {
        match self {
            Self::Unconfirmed { request, .. } => Some(*request),
            _ => None,
        }
    }

    /// Counts an authorize request as rejected. Returns the reason, as the metric labels it.
    pub(crate) fn count(&self) -> &'static str {
        let reason = self.reason();
        counter!(metrics::REQUESTS_REFUSED, "reason" => reason).increment(1);
        reason
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Station(_) => "station_id",
            Self::CallbackUrl(_) => "callback_url",
            Self::Request(problem) => {
                let mut fields = ["station_id", "driver_token", "callback_url"].into_iter();
                fields.find(|field| *field == problem.field()).unwrap_or("request")
            }
            Self::IdempotencyKeyReused => "idempotency_key",
            Self::Queue(_) => "task_queue",
            Self::Unconfirmed { .. } => "unconfirmed",
            Self::QueueTooOld => "queue_too_old",
            Self::Store(_) => "store",
        }
    }

    fn problem(&self) -> Problem {
        let after = Duration::from_secs(1);
        match self {
            Self::Station(error) => Problem::invalid("station_id", error.to_string()),
            Self::CallbackUrl(error) => Problem::invalid("callback_url", error.to_string()),
            Self::Request(problem) => problem.clone(),
            Self::IdempotencyKeyReused => Problem::conflicting_reuse("idempotency-key", self.to_string()),
            Self::Queue(error) => {
                tracing::error!(%error, "a request could not be accepted");
                let detail = "the request was not accepted: the task queue does not accept it at present";
                Problem::unavailable("task_queue", detail, after)
            }
            Self::Unconfirmed { request, why } => {
                tracing::error!(%request, why, "it is not known whether a request was accepted");
                Problem::unconfirmed(
                    "task_queue",
                    "the task queue did not confirm it in time",
                    *request,
                    after,
                )
            }
            Self::QueueTooOld => {
                let detail = "the request was not accepted: no worker would take it before its deadline";
                Problem::unavailable("task_queue", detail, QUEUE_TOO_OLD_FOR)
            }
            Self::Store(error) => {
                tracing::error!(%error, "the store cannot be reached");
                Problem::unavailable("store", "the store of records cannot be reached", after)
            }
        }
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.problem().status_code()
    }

    fn error_response(&self) -> HttpResponse {
        self.problem().error_response()
    }
}
