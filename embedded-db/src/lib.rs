//! One SQLite file with one writer thread that commits for many callers at once (group commit), and readers beside it.
//!
//! `synchronous=FULL` makes every commit durable before a caller is told, which costs one `fdatasync`; sharing it between
//! all callers that wait is what makes it fast. A write that fails undoes itself alone.

mod directory;
mod reader;
mod writer;

use std::path::Path;
use std::time::Duration;

pub use directory::{DirectoryError, DirectoryLock};
pub use rusqlite;
use rusqlite::{Connection, Transaction};

/// A database file that is open. Cheap to clone; the file closes with the last clone.
#[derive(Debug, Clone)]
pub struct Database {
    writer: writer::Writer,
    reader: reader::Reader,
}

/// Why a database file did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// SQLite refused, for instance because the disk is full.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// The whole commit failed, so that nothing of it holds.
    #[error("the commit failed: {0}")]
    Commit(String),
    /// The thread that owns the file is gone; the process has to be restarted.
    #[error("the database file is closed")]
    Closed,
}

impl Database {
    /// Opens the file, creating it and its tables with `schema`, which must be repeatable (`IF NOT EXISTS`).
    ///
    /// # Errors
    /// The file cannot be opened, or is not a database.
    pub fn open(path: &Path, schema: &str) -> Result<Self, DbError> {
        let connection = connect(path)?;
        connection.execute_batch(schema)?;
        let writer = writer::Writer::start(connection)?;
        let reader = reader::Reader::start(connect(path)?)?;
        Ok(Self { writer, reader })
    }

    /// Runs `work` within the next commit. When this returns `Ok`, it is on disk.
    ///
    /// A caller that goes away while it waits does not undo what it asked for.
    ///
    /// # Errors
    /// What `work` failed with; its own changes are undone then, others' are not.
    pub async fn write<T, F>(&self, work: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        self.writer.run(work).await
    }

    /// Runs `work` over what is committed.
    ///
    /// # Errors
    /// What `work` failed with.
    pub async fn read<T, F>(&self, work: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.reader.run(work).await
    }
}

fn connect(path: &Path) -> Result<Connection, DbError> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}
