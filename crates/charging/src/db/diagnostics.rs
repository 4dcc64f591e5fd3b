//! What can be learned about a database without opening it: nothing is created or changed.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};

use super::{At, DbError, OpenError, PLATFORM_FILE};
use crate::config::DatabaseConfig;

const LIMIT: Duration = Duration::from_secs(5);
const ADMINISTRATORS: &str = "SELECT COUNT(*) FROM account_roles r JOIN accounts a ON a.id = r.account_id \
                              WHERE r.role = 'admin' AND a.status = 'active'";

/// What is known about a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseFacts {
    /// PostgreSQL.
    Postgres(PostgresFacts),
    /// A SQLite file.
    Embedded {
        /// Whether it exists.
        exists: bool,
    },
}

/// What is known about a PostgreSQL database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresFacts {
    /// Such as `15.20 (Debian …)`.
    pub version: String,
    /// The major version.
    pub major: i64,
    /// Whether it is a replica, which accepts no changes.
    pub is_replica: bool,
    /// Whether a commit waits for the disk.
    pub is_durable: bool,
    /// The maximum number of connections of the server.
    pub max_connections: i64,
    /// The version of the platform's tables; `None` if there are none.
    pub tables: Option<i64>,
    /// How far its clock is ahead of this machine's, in milliseconds.
    pub clock_ahead_ms: i64,
}

/// Examines the database that the settings name.
///
/// # Errors
/// Returns an error if it cannot be reached.
pub async fn examine(config: &DatabaseConfig) -> Result<DatabaseFacts, OpenError> {
    if let Some(directory) = config.directory() {
        return Ok(DatabaseFacts::Embedded { exists: PLATFORM_FILE.is_in(&directory) });
    }
    let options: PgConnectOptions = config.url().expose().parse().map_err(|_| OpenError::BadUrl)?;
    let examining = async {
        let mut connection = options.application_name("voltgate doctor").connect().await?;
        let facts = postgres(&mut connection).await?;
        // The server notices it anyway.
        let _ = connection.close().await;
        Ok::<_, sqlx::Error>(facts)
    };
    let examined = tokio::time::timeout(LIMIT, examining).await.map_err(|_| DbError::Slow)?;
    Ok(DatabaseFacts::Postgres(examined.map_err(DbError::from)?))
}

/// How many active administrators there are.
///
/// # Errors
/// Returns an error if the database cannot be reached, or has no tables of accounts yet.
pub async fn administrators(config: &DatabaseConfig) -> Result<i64, OpenError> {
    let counting = async {
        let (count,): (i64,) = match config.directory() {
            Some(directory) => {
                let file = PLATFORM_FILE.within(&directory);
                let mut connection =
                    SqliteConnectOptions::new().filename(file).read_only(true).connect().await?;
                sqlx::query_as(ADMINISTRATORS).fetch_one(&mut connection).await?
            }
            None => {
                let options: PgConnectOptions = config.url().expose().parse()?;
                let mut connection = options.application_name("voltgate doctor").connect().await?;
                sqlx::query_as(ADMINISTRATORS).fetch_one(&mut connection).await?
            }
        };
        Ok::<_, sqlx::Error>(count)
    };
    let counted = tokio::time::timeout(LIMIT, counting).await.map_err(|_| DbError::Slow)?;
    Ok(counted.map_err(DbError::from)?)
}

async fn postgres(connection: &mut PgConnection) -> sqlx::Result<PostgresFacts> {
    let asked = At::now().millis();
    let (version, number, is_replica, commit, fsync, connections, now, has_tables): (
        String,
        String,
        bool,
        String,
        String,
        String,
        At,
        bool,
    ) = sqlx::query_as(
        "SELECT current_setting('server_version'), current_setting('server_version_num'), pg_is_in_recovery(), \
         current_setting('synchronous_commit'), current_setting('fsync'), current_setting('max_connections'), \
         clock_timestamp(), to_regclass('_sqlx_migrations') IS NOT NULL",
    )
    .fetch_one(&mut *connection)
    .await?;
    let middle = i64::midpoint(asked, At::now().millis());
    let tables = if has_tables {
        let (tables,): (Option<i64>,) =
            sqlx::query_as("SELECT MAX(version) FROM _sqlx_migrations").fetch_one(connection).await?;
        tables
    } else {
        None
    };
    Ok(PostgresFacts {
        version,
        major: number.parse::<i64>().unwrap_or_default() / 10_000,
        is_replica,
        is_durable: commit != "off" && fsync == "on",
        max_connections: connections.parse().unwrap_or_default(),
        tables,
        clock_ahead_ms: now.millis() - middle,
    })
}
