//! The database files that an embedded directory may hold.

use std::path::{Path, PathBuf};

/// One of these files. The crate that stores data in it defines its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataFile {
    /// The name of the file and of its lock, without the extension.
    pub stem: &'static str,
    /// A table that every version of the file has.
    pub table: &'static str,
}

impl DataFile {
    /// Its name, such as `queue.db`.
    pub fn name(&self) -> String {
        format!("{}.db", self.stem)
    }

    /// The name of the lock file of the process that uses it.
    pub fn lock_name(&self) -> String {
        format!("{}.lock", self.stem)
    }

    /// Its path in this directory.
    pub fn within(&self, directory: &Path) -> PathBuf {
        directory.join(self.name())
    }

    /// Whether this directory contains one.
    pub fn is_in(&self, directory: &Path) -> bool {
        self.within(directory).is_file()
    }
}
