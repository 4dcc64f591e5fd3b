//! What imports share: their parameters, how one part of them is applied or only tried, and how they end.

use std::time::Duration;

use charging::db::TxError;
use charging::{Db, DbError, Tx};
use http_server::{Problem, query};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use crate::error::ApiError;

const NAMED: usize = 100;
const MAX_NAMED: usize = 10_000;
/// How often a part is tried while the database is away.
const TRIES: u32 = 3;
const BETWEEN_TRIES: Duration = Duration::from_secs(1);
/// Time limit for the next chunk of the body.
pub(crate) const PIECE_LIMIT: Duration = Duration::from_secs(30);

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ImportQuery {
    /// Whether the lines are only checked, and nothing is changed
    #[param(value_type = Option<bool>, default = false)]
    dry_run: Option<String>,
    /// How many refused lines are listed
    #[param(value_type = Option<u32>, maximum = 10_000, default = 100)]
    max_refusals: Option<String>,
}

/// What the parameters say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ImportOptions {
    pub(crate) dry_run: bool,
    pub(crate) max_refusals: usize,
}

/// Why an import ends before its body.
pub(crate) enum CutOff {
    Body(Problem),
    Database(ApiError),
}

/// Why a transaction of an import is rolled back.
enum NotApplied<T> {
    /// Nothing is wrong: it was only tried.
    DryRun(T),
    Refused(ApiError),
}

impl ImportQuery {
    pub(crate) fn options(&self) -> Result<ImportOptions, Problem> {
        let dry_run = query::flag("dry_run", self.dry_run.as_deref())?;
        let max_refusals = match self.max_refusals.as_deref().map(str::parse) {
            None => NAMED,
            Some(Ok(count)) if count <= MAX_NAMED => count,
            Some(_) => return Err(Problem::invalid("max_refusals", "expected a number, at most 10000")),
        };
        Ok(ImportOptions { dry_run, max_refusals })
    }
}

/// Applies one part of an import in a transaction of its own, which a dry run rolls back. It is tried again where it was
/// changed meanwhile, or the database is away for a moment. The inner error refuses the part, the outer one ends the import.
pub(crate) async fn apply<T>(
    db: &Db,
    dry_run: bool,
    part: impl AsyncFn(&mut Tx) -> Result<T, ApiError>,
) -> Result<Result<T, Problem>, CutOff> {
    let mut tries = 0;
    loop {
        tries += 1;
        let applied = db.write(async |tx| {
            let applied = part(tx).await?;
            if dry_run { Err(NotApplied::DryRun(applied)) } else { Ok(applied) }
        });
        let error = match applied.await {
            Ok(applied) | Err(NotApplied::DryRun(applied)) => return Ok(Ok(applied)),
            Err(NotApplied::Refused(error)) => error,
        };
        if error.is_stale() && tries < TRIES {
            // It was changed between reading and writing.
        } else if error.is_transient() && tries < TRIES {
            tokio::time::sleep(BETWEEN_TRIES).await;
        } else if error.is_transient() {
            return Err(CutOff::Database(error));
        } else {
            return Ok(Err(error.problem()));
        }
    }
}

impl CutOff {
    /// The answer to an import that was cut off, with what was done by then.
    pub(crate) fn problem(self, report: &impl Serialize) -> Problem {
        let problem = match self {
            Self::Body(problem) => problem,
            Self::Database(error) => {
                tracing::warn!(%error, "an import was interrupted");
                let detail = "the database cannot be used at present; `report` says what was done by then, and the whole \
                              import may be repeated";
                Problem::unavailable("database", detail, Duration::from_secs(1))
            }
        };
        problem.with_report(serde_json::to_value(report).unwrap_or_default())
    }
}

impl<T> From<ApiError> for NotApplied<T> {
    fn from(error: ApiError) -> Self {
        Self::Refused(error)
    }
}

impl<T> From<DbError> for NotApplied<T> {
    fn from(error: DbError) -> Self {
        Self::Refused(error.into())
    }
}

impl<T> TxError for NotApplied<T> {
    fn database(&self) -> Option<&DbError> {
        match self {
            Self::Refused(error) => error.database(),
            Self::DryRun(_) => None,
        }
    }
}
