//! Errors of platform-api, and the problem that the client receives.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use charging::DbError;
use charging::accounts::AccountError;
use charging::db::TxError;
use charging::stations::{Refused, StationError};
use http_server::Problem;

/// The result of a handler.
pub(crate) type Answer = Result<HttpResponse, ApiError>;

/// Why platform-api rejects a request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// The request violates the route's format, or the state of a document.
    #[error(transparent)]
    Request(#[from] Problem),
    /// The document is refused by the domain.
    #[error(transparent)]
    Station(#[from] StationError),
    /// The account, or what belongs to it, is refused by the domain.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbError),
}

impl ApiError {
    /// Whether the same may succeed later.
    pub(crate) fn is_transient(&self) -> bool {
        self.database().is_some_and(DbError::is_transient)
    }

    /// Whether the document was changed between reading and writing it.
    pub(crate) fn is_stale(&self) -> bool {
        matches!(self, Self::Station(StationError::Stale) | Self::Account(AccountError::Stale))
    }

    /// The same about a part of a larger document.
    pub(crate) fn below(self, place: &str) -> Self {
        if self.database().is_some() || self.is_stale() {
            self
        } else {
            Self::Request(self.problem().below(place))
        }
    }

    /// The problem that the client receives.
    pub(crate) fn problem(&self) -> Problem {
        match self {
            Self::Request(problem) => problem.clone(),
            Self::Station(StationError::Refused(Refused { field, detail }))
            | Self::Account(AccountError::Refused(Refused { field, detail })) => {
                Problem::invalid(field.clone(), detail.clone())
            }
            Self::Station(StationError::Conflict(Refused { field, detail }))
            | Self::Account(AccountError::Conflict(Refused { field, detail })) => {
                Problem::conflict(field.clone(), detail.clone())
            }
            Self::Station(StationError::Stale) | Self::Account(AccountError::Stale) => {
                Problem::precondition_failed()
            }
            Self::Station(StationError::NotFound) | Self::Account(AccountError::NotFound) => {
                Problem::not_found("id", "there is none with this id")
            }
            Self::Station(StationError::Database(error))
            | Self::Account(AccountError::Database(error))
            | Self::Database(error) => of_database(error),
        }
    }
}

fn of_database(error: &DbError) -> Problem {
    if error.is_transient() {
        tracing::warn!(%error, "the database cannot be used at present");
        let detail =
            "the database cannot be used at present; a change may have been made, and may be repeated";
        return Problem::unavailable("database", detail, Duration::from_secs(1));
    }
    tracing::error!(%error, "the database refused a statement");
    Problem::internal("the database refused a statement; the log says why")
}

impl TxError for ApiError {
    fn database(&self) -> Option<&DbError> {
        match self {
            Self::Database(error) => Some(error),
            Self::Station(error) => error.database(),
            Self::Account(error) => error.database(),
            Self::Request(_) => None,
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
