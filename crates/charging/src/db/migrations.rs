//! The tables, in numbered steps, one folder for each database. A release only adds to the tables (expand); what no release
//! in use needs any more is removed by a later one (contract), which raises `oldest_program`.

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{Connection, PgPool, SqlSafeStr, SqliteConnection};

use super::{DbError, OpenError};

/// The version of the tables that this program was written for.
pub const VERSION: i64 = 6;

/// Two processes that start together must not both create the tables. The number is arbitrary.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7331001)";
const SUPPORT: &str =
    "SELECT oldest_program, (SELECT MAX(version) FROM _sqlx_migrations) FROM schema_support";

macro_rules! steps {
    ($folder:literal) => {
        [
            (1, "ground", include_str!(concat!("../../migrations/", $folder, "/0001_ground.sql"))),
            (2, "accounts", include_str!(concat!("../../migrations/", $folder, "/0002_accounts.sql"))),
            (
                3,
                "notifications",
                include_str!(concat!("../../migrations/", $folder, "/0003_notifications.sql")),
            ),
            (4, "chargers", include_str!(concat!("../../migrations/", $folder, "/0004_chargers.sql"))),
            (5, "offers", include_str!(concat!("../../migrations/", $folder, "/0005_offers.sql"))),
            (
                6,
                "chargers_further",
                include_str!(concat!("../../migrations/", $folder, "/0006_chargers_further.sql")),
            ),
        ]
    };
}

const POSTGRES: [(i64, &str, &str); 6] = steps!("postgres");
const SQLITE: [(i64, &str, &str); 6] = steps!("sqlite");

/// Brings the tables of PostgreSQL up to date.
pub(super) async fn postgres(pool: &PgPool) -> Result<(), OpenError> {
    // The lock lasts as long as this transaction, so that it works behind a pooler too.
    let mut lock = pool.begin().await.map_err(DbError::from)?;
    sqlx::query(LOCK).execute(&mut *lock).await.map_err(DbError::from)?;
    migrator(&POSTGRES).run(pool).await.map_err(failure)?;
    let (needed, found): (i64, i64) =
        sqlx::query_as(SUPPORT).fetch_one(&mut *lock).await.map_err(DbError::from)?;
    lock.commit().await.map_err(DbError::from)?;
    supported(needed, found)
}

/// Brings the tables of a SQLite file up to date.
pub(super) async fn sqlite(mut connection: SqliteConnection) -> Result<(), OpenError> {
    migrator(&SQLITE).run(&mut connection).await.map_err(failure)?;
    let support = sqlx::query_as(SUPPORT).fetch_one(&mut connection).await;
    let (needed, found): (i64, i64) = support.map_err(DbError::from)?;
    connection.close().await.map_err(DbError::from)?;
    supported(needed, found)
}

fn migrator(steps: &'static [(i64, &str, &str)]) -> Migrator {
    let step = |(version, name, text): &(i64, &'static str, &'static str)| {
        Migration::new(*version, (*name).into(), MigrationType::Simple, text.into_sql_str(), false)
    };
    let mut migrator = Migrator::with_migrations(steps.iter().map(step).collect());
    // A later release may have added steps, which this one can live with.
    migrator.set_ignore_missing(true).set_locking(false);
    migrator
}

fn supported(needed: i64, found: i64) -> Result<(), OpenError> {
    if needed <= VERSION { Ok(()) } else { Err(OpenError::TooNew { found, needed, ours: VERSION }) }
}

fn failure(error: sqlx::migrate::MigrateError) -> OpenError {
    match error {
        sqlx::migrate::MigrateError::Execute(error) => match DbError::from(error) {
            transient if transient.is_transient() => transient.into(),
            other => OpenError::Migration(sqlx::migrate::MigrateError::Source(other.to_string().into())),
        },
        other => OpenError::Migration(other),
    }
}

impl OpenError {
    /// Whether opening it again later may succeed.
    pub(super) fn is_transient(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_transient())
    }
}
