//! A folder in place of a mail server: one `.eml` file a mail, which mail programs open.

use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use charging::notifications::{ClaimedMail, MailKind};
use lettre::Message;
use tempfile::NamedTempFile;

use super::SendError;

/// Announces a mail that was written, to a person at a terminal.
pub type Announce = fn(&WrittenMail);

/// A mail that was written to the folder.
#[derive(Debug)]
pub struct WrittenMail {
    /// Its kind.
    pub kind: MailKind,
    /// Its link, with the code.
    pub link: Option<String>,
    /// Its file.
    pub file: PathBuf,
}

/// The folder.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    path: PathBuf,
    announce: Option<Announce>,
}

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, announce: None }
    }

    pub(super) fn announcing(self, announce: Announce) -> Self {
        Self { announce: Some(announce), ..self }
    }

    /// Writes the mail. A further attempt replaces the file.
    pub(super) async fn write(
        &self,
        mail: &ClaimedMail,
        message: &Message,
        link: Option<String>,
    ) -> Result<(), SendError> {
        let file = self.path.join(format!("{}-{}.eml", mail.claim.id, mail.kind));
        let (folder, text, target) = (self.path.clone(), message.formatted(), file.clone());
        let writing = tokio::task::spawn_blocking(move || persist(&folder, &text, &target));
        writing.await.map_err(std::io::Error::other).flatten().map_err(SendError::Folder)?;
        if let Some(announce) = self.announce {
            announce(&WrittenMail { kind: mail.kind, link, file });
        }
        Ok(())
    }
}

/// Only the owner can read the file, which is complete as soon as it has its name.
fn persist(folder: &Path, text: &[u8], target: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    // With the mode 0600.
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(text)?;
    file.as_file().sync_all()?;
    file.persist(target)?;
    Ok(())
}
