//! One SQLite file with one writer thread that commits for many callers at once (group commit), and readers beside it.
//!
//! `synchronous=FULL` makes every commit durable before a caller is told, which costs one `fdatasync`; sharing it between
//! all callers that wait is what makes it fast. A write that fails undoes itself alone.

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

/// A database file that is open. Cheap to clone; the file closes with the last clone, or by [`Database::close`].
#[derive(Debug, Clone)]
pub struct Database {
    open: Arc<Open>,
}

#[derive(Debug)]
struct Open {
    // Before the writer: the last connection that closes leaves nothing beside the file.
    reader: reader::Reader,
    writer: writer::Writer,
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
    /// The file is closed, or the thread that owns it is gone; the process has to be restarted.
    #[error("the database file is closed")]
    Closed,
    /// The file is not what it should be.
    #[error("{0}")]
    Damaged(String),
    /// A file cannot be read or written.
    #[error("{0}: {1}")]
    File(PathBuf, std::io::Error),
}

impl Database {
    /// Opens the file, creating it and its tables with `schema`, which must be repeatable (`IF NOT EXISTS`).
    ///
    /// # Errors
    /// The file cannot be opened, or is not a database.
    pub fn open(path: &Path, schema: &str) -> Result<Self, DbError> {
        Self::opened(path, schema, OpenFlags::SQLITE_OPEN_CREATE)
    }

    /// The same for a file that is there.
    ///
    /// # Errors
    /// There is none, it cannot be opened, or is not a database.
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
        self.open.writer.run(work).await
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
        self.open.reader.run(work).await
    }

    /// Finishes what waits and closes the file, for all clones. Everything is in the file itself then, so that it may be
    /// copied; where no other process has it open, no `-wal` and no `-shm` stay beside it.
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
