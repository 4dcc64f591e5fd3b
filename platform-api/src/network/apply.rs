//! Applies one location of an import, or only tries it.

use charging::db::TxError;
use charging::{Db, DbError};

use super::report::Counts;
use super::site::Site;
use crate::error::ApiError;

/// Why a location is not applied.
pub(super) enum NotApplied {
    /// Nothing is wrong, and the transaction is rolled back, as it was asked for.
    DryRun(Counts),
    Refused(ApiError),
}

/// Applies a location with its stations in a transaction. A dry run is rolled back.
pub(super) async fn apply(db: &Db, site: &Site, dry_run: bool, actor: &str) -> Result<Counts, NotApplied> {
    db.write(async |tx| {
        let counts = site.apply(tx, actor).await?;
        if dry_run { Err(NotApplied::DryRun(counts)) } else { Ok(counts) }
    })
    .await
}

impl From<ApiError> for NotApplied {
    fn from(error: ApiError) -> Self {
        Self::Refused(error)
    }
}

impl From<DbError> for NotApplied {
    fn from(error: DbError) -> Self {
        Self::Refused(error.into())
    }
}

impl TxError for NotApplied {
    fn database(&self) -> Option<&DbError> {
        match self {
            Self::Refused(error) => error.database(),
            Self::DryRun(_) => None,
        }
    }
}
