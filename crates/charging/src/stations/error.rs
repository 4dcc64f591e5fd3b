//! Why a location or a station is refused.

use std::borrow::Cow;

use crate::db::{DbError, TxError};

/// A part of a document that cannot be accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {detail}")]
pub struct Refused {
    /// The part at fault, with dots: `opening_times.regular_hours.1`.
    pub field: Cow<'static, str>,
    /// What is wrong with it.
    pub detail: String,
}

/// Why a change is refused.
#[derive(Debug, thiserror::Error)]
pub enum StationError {
    /// A part of the document is malformed.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// A part of the document is taken, or does not exist.
    #[error("conflict: {0}")]
    Conflict(Refused),
    /// The document was changed meanwhile.
    #[error("the document has changed meanwhile")]
    Stale,
    /// There is none with this id.
    #[error("there is none with this id")]
    NotFound,
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbError),
}

impl Refused {
    pub(crate) fn new(field: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self { field: field.into(), detail: detail.into() }
    }
}

impl StationError {
    pub(crate) fn conflict(field: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self::Conflict(Refused::new(field, detail))
    }
}

impl TxError for StationError {
    fn database(&self) -> Option<&DbError> {
        match self {
            Self::Database(error) => Some(error),
            _ => None,
        }
    }
}

/// A whole number within bounds.
pub(crate) fn within(
    field: impl Into<Cow<'static, str>>,
    number: i64,
    bounds: std::ops::RangeInclusive<i64>,
) -> Result<(), Refused> {
    if bounds.contains(&number) {
        return Ok(());
    }
    Err(Refused::new(field, format!("expected {} to {}", bounds.start(), bounds.end())))
}
