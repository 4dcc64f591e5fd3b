//! The database files that an embedded directory may hold.

use std::path::{Path, PathBuf};

/// One of them. Who keeps something in it says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataFile {
    /// Of the file and of its lock, without the ending.
    pub stem: &'static str,
    /// A table that each of them has had from the first version on.
    pub table: &'static str,
}

impl DataFile {
    /// Its name, such as `queue.db`.
    pub fn name(&self) -> String {
        format!("{}.db", self.stem)
    }

    /// The name of the lock of who works with it.
    pub fn lock_name(&self) -> String {
        format!("{}.lock", self.stem)
    }

    /// Where it is in this directory.
    pub fn within(&self, directory: &Path) -> PathBuf {
        directory.join(self.name())
    }

    /// Whether this directory holds one.
    pub fn is_in(&self, directory: &Path) -> bool {
        self.within(directory).is_file()
    }
}
