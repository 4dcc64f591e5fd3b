//! Copying a database file, and checking that a copy is complete.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use crate::{DataFile, DbError, connect};

/// Copies the file to a new file and syncs it to the disk. The copy is consistent, also while a process uses the file;
/// that process is not blocked. Blocks the caller for the duration.
///
/// # Errors
/// Returns an error if there is no such file, if it is damaged, or if the copy cannot be written.
pub fn copy(from: &Path, to: &Path) -> Result<(), DbError> {
    let name = to.to_str().ok_or_else(|| DbError::Damaged(format!("{} is no UTF-8", to.display())))?;
    // Not SQLite's online backup, which copies page by page: this reads in one transaction and never has to start over.
    connect(from, OpenFlags::empty())?.execute("VACUUM INTO ?1", [name])?;
    File::open(to).and_then(|file| file.sync_all()).map_err(|error| DbError::File(to.to_owned(), error))
}

/// Checks every page of a file that no process uses. It creates no other file. Blocks for the duration.
///
/// # Errors
/// Returns [`DbError::Damaged`] if the file is damaged, is not this kind of database, or is incomplete because the rest
/// is in a `-wal` next to it.
pub fn check(path: &Path, kind: &DataFile) -> Result<(), DbError> {
    let damaged = |why: &str| DbError::Damaged(format!("{}: {why}", path.display()));
    File::open(path).map_err(|error| DbError::File(path.to_owned(), error))?;
    if beside(path, "-wal").metadata().is_ok_and(|wal| wal.len() > 0) {
        return Err(damaged(
            "a part of it is in the -wal beside it: it was copied while a process worked with it",
        ));
    }
    let problem = problem(path, kind).map_err(|error| damaged(&error.to_string()))?;
    problem.map_or(Ok(()), |problem| Err(damaged(&problem)))
}

/// Returns `None` if the file is fine.
fn problem(path: &Path, kind: &DataFile) -> rusqlite::Result<Option<String>> {
    // Without `immutable`, SQLite would create a -shm next to a copy that it only reads,
    // or fail in a read-only directory.
    let uri = format!("file:{}?immutable=1", escaped(path));
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(uri, flags)?;
    let found: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if found != "ok" {
        return Ok(Some(found));
    }
    let ours = connection.table_exists(None, kind.table)?;
    Ok((!ours).then(|| format!("it is no {} of Voltgate: it has no table `{}`", kind.name(), kind.table)))
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

/// Escapes the characters that have a meaning in a URI.
fn escaped(path: &Path) -> String {
    path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23")
}
