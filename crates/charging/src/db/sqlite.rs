//! The connections to a SQLite file: one that writes, and some that read.

use std::path::Path;
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use super::{DbError, STATEMENT_LIMIT};

const READERS: u32 = 4;
/// How long to wait for a tool that writes beside this process.
const BUSY: Duration = Duration::from_secs(5);

/// The connection that writes.
pub(super) async fn writer(file: &Path, create: bool) -> Result<SqlitePool, DbError> {
    Ok(pool(1).connect_with(options(file).create_if_missing(create)).await?)
}

/// The connections that read.
pub(super) async fn readers(file: &Path) -> Result<SqlitePool, DbError> {
    Ok(pool(READERS).connect_with(options(file).read_only(true)).await?)
}

fn options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .journal_mode(SqliteJournalMode::Wal)
        // A commit is on the disk when it returns.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY)
}

fn pool(connections: u32) -> SqlitePoolOptions {
    // The file needs no new connections, and a test of one would cost a round trip to its thread.
    SqlitePoolOptions::new()
        .max_connections(connections)
        .min_connections(1)
        .max_lifetime(None)
        .idle_timeout(None)
        .test_before_acquire(false)
        .acquire_timeout(STATEMENT_LIMIT)
}
