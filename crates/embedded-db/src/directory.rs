//! The directory of an `embedded:DIR` URL belongs to one process at a time.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::{DataFile, Staging};

/// Held while a process uses a directory. The operating system releases the lock when the process dies.
#[derive(Debug, Clone)]
pub struct DirectoryLock {
    directory: PathBuf,
    _file: Arc<File>,
}

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Another process holds it.
    #[error(
        "{0} is in use by another process: an embedded directory belongs to one process, \
         so run everything with `voltgate up`, or use amqp:// and redis:// to run several"
    )]
    InUse(PathBuf),
    /// A restore into this directory was interrupted by a crash of the machine or the process.
    #[error("{0} holds only a part of a backup that was being restored: empty it, and restore again")]
    HalfRestored(PathBuf),
    /// It cannot be created or written to.
    #[error("{0} cannot be used: {1}")]
    Unusable(PathBuf, std::io::Error),
}

impl DirectoryLock {
    /// Creates the directory if it is missing, and takes the lock of a file in it.
    ///
    /// # Errors
    /// Returns a [`DirectoryError`], which names the directory.
    pub fn take(directory: &Path, file: DataFile) -> Result<Self, DirectoryError> {
        let unusable = |error| DirectoryError::Unusable(directory.to_owned(), error);
        std::fs::create_dir_all(directory).map_err(unusable)?;
        let file = File::create(directory.join(file.lock_name())).map_err(unusable)?;
        match file.try_lock() {
            Ok(()) if Staging::was_interrupted(directory) => {
                Err(DirectoryError::HalfRestored(directory.to_owned()))
            }
            Ok(()) => Ok(Self { directory: directory.to_owned(), _file: Arc::new(file) }),
            Err(TryLockError::WouldBlock) => Err(DirectoryError::InUse(directory.to_owned())),
            Err(TryLockError::Error(error)) => Err(unusable(error)),
        }
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}
