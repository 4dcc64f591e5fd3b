//! One SQLite file with one writer thread, which commits for many callers at once (group commit), and a reader thread.
//!
//! `synchronous=FULL` makes every commit durable before the caller is notified. This costs one `fdatasync`, which all
//! waiting callers share; that makes it fast. A write that fails is rolled back alone.

mod copy;
mod data_file;
mod directory;
mod reader;
mod staging;
mod thread;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use copy::{check, copy};
pub use data_file::DataFile;
pub use directory::{DirectoryError, DirectoryLock};
pub use rusqlite;
use rusqlite::{Connection, OpenFlags, Transaction};
pub use staging::Staging;

/// An open database file. Cheap to clone; the file is closed when the last clone is dropped, or by [`Database::close`].
#[derive(Debug, Clone)]
pub struct Database {
    open: Arc<Open>,
}

#[derive(Debug)]
struct Open {
    // Dropped before the writer: the connection that closes last removes the `-wal` and the `-shm`.
    reader: reader::Reader,
    writer: writer::Writer,
}

/// Why an operation on a database file failed.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// SQLite returned an error, for instance because the disk is full.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// The whole commit failed, and none of its writes took effect.
    #[error("the commit failed: {0}")]
    Commit(String),
    /// The file is closed, or the thread that owns it has ended; the process has to be restarted.
    #[error("the database file is closed")]
    Closed,
    /// The file is damaged, or is not what was expected.
    #[error("{0}")]
    Damaged(String),
    /// A file cannot be read or written.
    #[error("{0}: {1}")]
    File(PathBuf, std::io::Error),
}

impl Database {
    /// Opens the file. Creates it and its tables with `schema`, which must be idempotent (`IF NOT EXISTS`).
    ///
    /// # Errors
    /// Returns an error if the file cannot be opened or is not a database.
    pub fn open(path: &Path, schema: &str) -> Result<Self, DbError> {
        Self::opened(path, schema, OpenFlags::SQLITE_OPEN_CREATE)
    }

    /// Same as [`Database::open`], for a file that exists.
    ///
    /// # Errors
    /// Returns an error if there is no such file, if it cannot be opened, or if it is not a database.
    pub fn open_existing(path: &Path, schema: &str) -> Result<Self, DbError> {
        Self::opened(path, schema, OpenFlags::empty())
    }

    fn opened(path: &Path, schema: &str, creating: OpenFlags) -> Result<Self, DbError> {
        let connection = connect(path, creating)?;
        connection.execute_batch(schema)?;
        let reader = reader::Reader::start(connect(path, OpenFlags::empty())?)?;
        let writer = writer::Writer::start(connection)?;
        Ok(Self { open: Arc::new(Open { reader, writer }) })
    }

    /// Runs `work` within the next commit. When this returns `Ok`, the write is on the disk.
    ///
    /// Dropping the future while it waits does not undo the write.
    ///
    /// # Errors
    /// Returns the error of `work`. Its own changes are then rolled back; those of other callers are not.
    pub async fn write<T, F>(&self, work: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        self.open.writer.run(work).await
    }

    /// Runs `work` on the committed data.
    ///
    /// # Errors
    /// Returns the error of `work`.
    pub async fn read<T, F>(&self, work: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.open.reader.run(work).await
    }

    /// Finishes the pending operations and closes the file, for all clones. Afterwards everything is in the file
    /// itself, so that it can be copied; if no other process has it open, no `-wal` and no `-shm` remain next to it.
    pub async fn close(&self) {
        self.open.reader.close().await;
        self.open.writer.close().await;
    }
}

fn connect(path: &Path, creating: OpenFlags) -> Result<Connection, DbError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | creating;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}
