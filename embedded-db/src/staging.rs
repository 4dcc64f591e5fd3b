//! A directory that is filled under another name, so that it is there as a whole or not at all.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// What is filled. It is removed when it is dropped before [`Staging::publish`].
#[derive(Debug)]
pub struct Staging {
    target: PathBuf,
    place: TempDir,
}

/// The name of the place begins with it. A crash leaves the place, and with it a directory that nobody takes for whole.
const PREFIX: &str = ".incomplete-";

impl Staging {
    /// Beside a directory that does not exist, and within one that does: it may be mounted there, and then nothing can be
    /// renamed to it.
    ///
    /// # Errors
    /// The place cannot be made.
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

    /// Where to put the files. Each has to be on the disk before it is published.
    pub fn place(&self) -> &Path {
        self.place.path()
    }

    /// Puts the files where they belong.
    ///
    /// # Errors
    /// They cannot be renamed, for instance because another process has made the directory meanwhile.
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
        // Nothing is there any more to be removed.
        let _ = place.keep();
        target.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
    }

    /// Whether a crash has left a directory that is only partly filled.
    pub fn was_interrupted(directory: &Path) -> bool {
        let Ok(mut entries) = fs::read_dir(directory) else { return false };
        entries.any(|entry| entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX)))
    }
}
