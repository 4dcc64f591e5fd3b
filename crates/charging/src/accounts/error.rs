//! Why a change of an account, or of what belongs to it, is refused.

use std::borrow::Cow;

use crate::db::{DbError, TxError};
use crate::stations::Refused;

/// Why a change is refused.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// A part of the document is malformed, or names what does not exist.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// A part of the document is taken, or the state does not allow the change.
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

impl AccountError {
    pub(crate) fn conflict(field: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self::Conflict(Refused::new(field, detail))
    }

    pub(crate) fn refused(field: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self::Refused(Refused::new(field, detail))
    }
}

impl TxError for AccountError {
    fn database(&self) -> Option<&DbError> {
        match self {
            Self::Database(error) => Some(error),
            _ => None,
        }
    }
}
