//! A directory that is filled under a temporary name and then published, so that it is complete or absent.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// The directory being filled. It is removed if this is dropped before [`Staging::publish`].
#[derive(Debug)]
pub struct Staging {
    target: PathBuf,
    place: TempDir,
}

/// Prefix of the temporary name. After a crash it marks the directory as incomplete.
const PREFIX: &str = ".incomplete-";

impl Staging {
    /// Creates the temporary directory: next to `target` if `target` does not exist, and within it otherwise, because
    /// `target` may be a mount point, and nothing can be renamed to one.
    ///
    /// # Errors
    /// Returns an error if the temporary directory cannot be created.
    pub fn of(target: &Path) -> std::io::Result<Self> {
        let target = std::path::absolute(target)?;
        let parent = target.parent().unwrap_or(&target);
        let within = if target.exists() { &target } else { parent };
        fs::create_dir_all(within)?;
        // Driver tokens and callback URLs are personal data.
        let private = fs::Permissions::from_mode(0o700);
        let place = tempfile::Builder::new().prefix(PREFIX).permissions(private).tempdir_in(within)?;
        Ok(Self { target, place })
    }

    /// Where to put the files. Each must be synced to the disk before [`Staging::publish`].
    pub fn place(&self) -> &Path {
        self.place.path()
    }

    /// Moves the files to the target.
    ///
    /// # Errors
    /// Returns an error if they cannot be renamed, for instance because another process has
    /// created the directory meanwhile.
    pub fn publish(self) -> std::io::Result<()> {
        let Self { target, place } = self;
        File::open(place.path())?.sync_all()?;
        if place.path().parent() == Some(&*target) {
            for entry in fs::read_dir(place.path())? {
                let entry = entry?;
                fs::rename(entry.path(), target.join(entry.file_name()))?;
            }
            File::open(&target)?.sync_all()?;
            return place.close();
        }
        fs::rename(place.path(), &target)?;
        // It was renamed, so there is nothing left to remove.
        let _ = place.keep();
        target.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
    }

    /// Whether a crash left this directory incomplete.
    pub fn was_interrupted(directory: &Path) -> bool {
        let Ok(mut entries) = fs::read_dir(directory) else { return false };
        entries.any(|entry| entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX)))
    }
}
