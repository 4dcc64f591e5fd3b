//! The connections to a SQLite file: one that writes, and some that read.

use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, SqliteConnection, SqlitePool};

use super::{DbError, STATEMENT_LIMIT};

const READERS: u32 = 4;
/// How many instructions SQLite runs between two looks at the clock: about a millisecond.
const STEPS: i32 = 20_000;
/// How long to wait for a tool that writes beside this process.
const BUSY: Duration = Duration::from_secs(5);

/// A connection of its own, whose statements may take as long as they need: for the tables.
pub(super) async fn unlimited(file: &Path, create: bool) -> Result<SqliteConnection, DbError> {
    Ok(options(file).create_if_missing(create).connect().await?)
}

/// The connection that writes.
pub(super) async fn writer(file: &Path) -> Result<SqlitePool, DbError> {
    Ok(pool(1).connect_with(options(file)).await?)
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
        // What is deleted is overwritten: personal data must not stay in free pages.
        .pragma("secure_delete", "ON")
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
        .after_connect(|connection, _| Box::pin(limit(connection)))
        .before_acquire(|connection, _| {
            Box::pin(async move {
                limit(connection).await?;
                Ok(true)
            })
        })
}

/// Interrupts a statement that takes too long: it would hold up all others, and go on after its caller has left. A connection
/// is acquired for one transaction.
async fn limit(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    let until = Instant::now() + STATEMENT_LIMIT;
    connection.lock_handle().await?.set_progress_handler(STEPS, move || Instant::now() < until);
    Ok(())
}
