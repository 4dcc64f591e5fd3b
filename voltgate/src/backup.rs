//! `voltgate backup` and `voltgate restore`: complete copies of the data directory of `voltgate up`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use charging::db::PLATFORM_FILE;
use embedded_db::{DataFile, DbError, DirectoryError, DirectoryLock, Staging, check, copy};
use service_runtime::exit::Failure;
use service_runtime::settings::Settings;
use store::STORE_FILE;
use task_queue::QUEUE_FILE;

use crate::places::Part;

/// The queue comes first. A request in its copy may be decided and called back before the store is copied, and keeps
/// that decision when it is processed again. In the other order, a request accepted in between would be in neither
/// copy.
///
/// The database comes last: a task in the copy of the queue refers to what the database has, and does no harm twice.
const ORDER: [Part; 3] = [Part::Queue, Part::Store, Part::Database];
/// Entries that an empty directory may contain.
const NOTHING: [&str; 1] = ["lost+found"];

/// Copies the data that the settings name, even while it is in use, into a directory that is empty or does not exist.
pub(crate) async fn backup(settings: &Settings, target: PathBuf) -> Result<ExitCode, Failure> {
    let mut sources = Vec::new();
    for part in ORDER {
        match part.directory(settings)? {
            // Data directories of earlier releases have no database.
            Some(directory) if part == Part::Database && !part.file().is_in(&directory) => {
                eprintln!("there is no {} in {}", part.file().name(), directory.display());
            }
            Some(directory) => sources.push((part.file(), directory)),
            None => eprintln!("{} is not in this backup", part.place(None, settings, settings)?),
        }
    }
    if sources.is_empty() {
        let why = "neither the queue, the store nor the database is in a directory: name the directory of `voltgate up` with --data; for RabbitMQ, \
                   Redis and PostgreSQL see docs/back-up.md";
        return Err(Failure::Usage(why.to_owned()));
    }
    blocking(move || {
        unused(&target)?;
        let staging = Staging::of(&target).map_err(|error| unwritten(&target, &error))?;
        for (file, directory) in &sources {
            let copied = file.within(staging.place());
            copy(&file.within(directory), &copied).and_then(|()| check(&copied, file)).map_err(broken)?;
        }
        staging.publish().map_err(|error| unwritten(&target, &error))?;
        for (file, directory) in &sources {
            println!("{} of {} is in {}", file.name(), directory.display(), target.display());
        }
        Ok(ExitCode::SUCCESS)
    })
    .await
}

/// Copies a backup into a directory that is empty or does not exist.
pub(crate) async fn restore(backup: PathBuf, target: PathBuf) -> Result<ExitCode, Failure> {
    blocking(move || {
        let files: Vec<DataFile> =
            ORDER.map(Part::file).into_iter().filter(|file| file.is_in(&backup)).collect();
        if files.is_empty() || Staging::was_interrupted(&backup) {
            let why = "is no backup, or one that was not finished: name a directory that `voltgate backup` has created";
            return Err(Failure::Usage(format!("{} {why}", backup.display())));
        }
        for file in &files {
            check(&file.within(&backup), file).map_err(|error| Failure::Refused(error.to_string()))?;
        }
        // Held until every file is in place.
        let _locks = if target.is_dir() { Some(locks(&target)?) } else { None };
        unused(&target)?;
        let staging = Staging::of(&target).map_err(|error| unwritten(&target, &error))?;
        for file in &files {
            let restored = file.within(staging.place());
            write(&file.within(&backup), &restored).map_err(|error| unwritten(&restored, &error))?;
            check(&restored, file).map_err(broken)?;
        }
        staging.publish().map_err(|error| unwritten(&target, &error))?;
        for file in ORDER.map(Part::file) {
            let (name, backup) = (file.name(), backup.display());
            if files.contains(&file) {
                println!("{name} of {backup} is in {}", target.display());
            } else {
                eprintln!("there is no {name} in {backup}: `voltgate up` will create an empty one, unless the settings name a server");
            }
        }
        Ok(ExitCode::SUCCESS)
    })
    .await
}

async fn blocking(
    work: impl FnOnce() -> Result<ExitCode, Failure> + Send + 'static,
) -> Result<ExitCode, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(Failure::broken)?
}

/// The locks that a process using the directory holds.
fn locks(directory: &Path) -> Result<[DirectoryLock; 3], Failure> {
    let take = |file| {
        DirectoryLock::take(directory, file).map_err(|error| Failure::Unreachable {
            what: "the directory",
            at: directory.display().to_string(),
            why: match error {
                DirectoryError::InUse(_) => "a process works with it: stop that first".to_owned(),
                other => other.to_string(),
            },
        })
    };
    Ok([take(QUEUE_FILE)?, take(STORE_FILE)?, take(PLATFORM_FILE)?])
}

/// Checks that the directory is empty; locks of processes that are gone may remain.
fn unused(directory: &Path) -> Result<(), Failure> {
    if !directory.exists() {
        return Ok(());
    }
    if !directory.is_dir() {
        return Err(Failure::Usage(format!("{} is not a directory", directory.display())));
    }
    let locks = ORDER.map(|part| part.file().lock_name());
    for entry in fs::read_dir(directory).map_err(|error| unwritten(directory, &error))? {
        let name = entry.map_err(|error| unwritten(directory, &error))?.file_name();
        let name = name.to_string_lossy();
        if !NOTHING.contains(&&*name) && !locks.iter().any(|lock| *lock == name) {
            let why =
                "existing files are never overwritten: name a directory that is empty or does not exist";
            return Err(Failure::Usage(format!("{} holds {name}; {why}", directory.display())));
        }
    }
    Ok(())
}

/// Copies byte for byte, and syncs to the disk. The copy has the permissions of a new file, as a backup may be kept
/// read-only.
fn write(from: &Path, to: &Path) -> std::io::Result<()> {
    let mut written = File::create_new(to)?;
    std::io::copy(&mut File::open(from)?, &mut written)?;
    written.sync_all()
}

fn unwritten(place: &Path, error: &std::io::Error) -> Failure {
    Failure::broken(format!("{} cannot be written: {error}", place.display()))
}

fn broken(error: DbError) -> Failure {
    Failure::broken(error)
}
