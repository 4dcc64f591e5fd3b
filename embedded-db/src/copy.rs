//! Copies of a database file, and whether one is whole.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use crate::{DataFile, DbError, connect};

/// Writes the file as it is at one moment into a new one, and to the disk; also while a process works with it, which is not
/// held up. Blocks for as long as it takes.
///
/// # Errors
/// There is no such file, it is damaged, or the copy cannot be written.
pub fn copy(from: &Path, to: &Path) -> Result<(), DbError> {
    let name = to.to_str().ok_or_else(|| DbError::Damaged(format!("{} is no UTF-8", to.display())))?;
    // Not by the pages, as SQLite's online backup goes: this reads in one transaction, and so never has to begin anew.
    connect(from, OpenFlags::empty())?.execute("VACUUM INTO ?1", [name])?;
    File::open(to).and_then(|file| file.sync_all()).map_err(|error| DbError::File(to.to_owned(), error))
}

/// Looks at every page of a file that no process works with, and leaves nothing beside it. Blocks for as long as it takes.
///
/// # Errors
/// [`DbError::Damaged`]: it is damaged, something else, or only a part, the rest being in a `-wal` beside it.
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

/// Nothing when all is well.
fn problem(path: &Path, kind: &DataFile) -> rusqlite::Result<Option<String>> {
    // SQLite would otherwise make a -shm beside a copy that it only reads, or fail where it may not.
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

/// What has a meaning in a URI.
fn escaped(path: &Path) -> String {
    path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23")
}
