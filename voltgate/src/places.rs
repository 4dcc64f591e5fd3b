//! Where a command finds the queue, the store and the database: by `--data`, by the settings, or in the default directory. If two of
//! them disagree, the command is rejected, because one of them would be silently ignored.

use std::path::{Path, PathBuf};

use authorization::config::broker_url;
use authorization::settings::BROKER_URL;
use charging::DatabaseConfig;
use charging::db::PLATFORM_FILE;
use charging::settings::DATABASE_URL;
use embedded_db::DataFile;
use service_runtime::exit::Failure;
use service_runtime::server_url::ServerUrl;
use service_runtime::settings::{Setting, Settings};
use store::STORE_FILE;
use store::config::StoreConfig;
use store::settings::{REDIS_HOST, REDIS_PORT, REDIS_URL};
use task_queue::QUEUE_FILE;

/// The data directory of `voltgate up`, where other commands look for it too.
pub(crate) const USUAL: &str = "voltgate-data";

/// A part of the system that a command accesses directly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Queue,
    Store,
    Database,
}

/// What a command does if a directory has no data yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Creates the files.
    Made,
    /// Reports it as one finding.
    Reported,
    /// Fails: data meant for one directory must not end up in another.
    Refused,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Store => "store",
            Self::Database => "database",
        }
    }

    /// Whether a data directory may lack it. Those of earlier releases have no database.
    fn is_new(self) -> bool {
        self == Self::Database
    }

    /// The part's file in a directory.
    pub(crate) fn file(self) -> DataFile {
        match self {
            Self::Queue => QUEUE_FILE,
            Self::Store => STORE_FILE,
            Self::Database => PLATFORM_FILE,
        }
    }

    /// The settings that name the part's location. A directory is written to the first one.
    fn settings(self) -> &'static [&'static Setting] {
        match self {
            Self::Queue => &[&BROKER_URL],
            Self::Store => &[&REDIS_URL, &REDIS_HOST, &REDIS_PORT],
            Self::Database => &[&DATABASE_URL],
        }
    }

    fn given(self, settings: &Settings) -> impl Iterator<Item = &'static Setting> {
        self.settings().iter().copied().filter(|setting| settings.is_given(setting))
    }

    /// `None` for a database that is not set.
    fn url(self, settings: &Settings) -> Result<Option<ServerUrl>, Failure> {
        Ok(match self {
            Self::Queue => Some(broker_url(settings)?),
            Self::Store => Some(StoreConfig::from_settings(settings)?.url().clone()),
            Self::Database => DatabaseConfig::from_settings(settings)?.map(|config| config.url().clone()),
        })
    }

    /// The part's directory; `None` if it is on a server.
    pub(crate) fn directory(self, settings: &Settings) -> Result<Option<PathBuf>, Failure> {
        let url = self.url(settings)?;
        Ok(url.and_then(|url| url.expose().strip_prefix("embedded:").map(PathBuf::from)))
    }

    /// A line with the part's location and where it is configured.
    pub(crate) fn place(
        self,
        data: Option<&Path>,
        given: &Settings,
        settled: &Settings,
    ) -> Result<String, Failure> {
        let said = match (data, self.given(given).next()) {
            (Some(_), _) => "--data",
            (None, Some(setting)) => setting.name,
            (None, None) if self.directory(settled)?.is_some() => "the default directory",
            (None, None) => "the default",
        };
        let name = self.name();
        Ok(match self.url(settled)? {
            Some(url) => format!("{name}: {url} ({said})"),
            None => format!("{name}: none"),
        })
    }
}

/// The settings, with the locations of these parts filled in.
///
/// # Errors
/// Returns an error if `--data` and a setting name different locations, or the directory has no data.
pub(crate) fn settle(
    settings: &Settings,
    data: Option<&Path>,
    parts: &[Part],
    missing: Missing,
) -> Result<Settings, Failure> {
    let usual = Path::new(USUAL);
    let directory = match data {
        Some(directory) => Some(directory),
        None => (missing == Missing::Made || usual.exists()).then_some(usual),
    };
    let Some(directory) = directory else { return there(settings.clone(), parts, missing) };
    let url = embedded(directory)?;
    let mut ours = Vec::new();
    for part in parts {
        let given: Vec<_> = part.given(settings).collect();
        let same = given.iter().all(|setting| is_same(settings.text(setting), &url));
        if let (Some(_), false, Some(setting)) = (data, same, given.first()) {
            return Err(both(*part, directory, setting, settings));
        }
        if given.is_empty() {
            ours.push((part.settings()[0], url.clone()));
        }
    }
    let settings = settings.clone();
    let settled = if data.is_some() { settings.with(ours) } else { settings.with_defaults(ours) };
    there(settled, parts, missing)
}

/// The URL of a directory.
///
/// # Errors
/// Returns an error if the directory's name cannot be part of a URL.
pub(crate) fn embedded(directory: &Path) -> Result<String, Failure> {
    let absolute = std::path::absolute(directory).ok();
    // Settings are trimmed, so a directory with another name would be used.
    let name = absolute.as_deref().and_then(Path::to_str).filter(|name| name.trim_end() == *name);
    let expected = "expected a path in UTF-8 that does not end with a space";
    let name = name.ok_or_else(|| Failure::Usage(format!("{}: {expected}", directory.display())))?;
    Ok(format!("embedded:{name}"))
}

fn is_same(text: &str, url: &str) -> bool {
    let directory = text.strip_prefix("embedded:").map(Path::new);
    directory.is_some_and(|directory| embedded(directory).is_ok_and(|named| named == url))
}

fn both(part: Part, data: &Path, setting: &Setting, settings: &Settings) -> Failure {
    let (part, data, name) = (part.name(), data.display(), setting.name);
    let value = settings.masked(setting);
    Failure::Usage(format!(
        "--data {data} and {name}={value} both name the location of the {part}: omit one of them (for a queue and a store in \
         different places set BROKER_URL and REDIS_URL; either may be embedded:DIR)"
    ))
}

/// An embedded part must exist in its directory, unless the command creates or diagnoses it.
fn there(settings: Settings, parts: &[Part], missing: Missing) -> Result<Settings, Failure> {
    // A directory of an earlier release has no database, which matters only to a command that works on nothing else.
    let is_needed = |part: &&Part| !part.is_new() || parts.len() == 1;
    for part in parts.iter().filter(|part| missing == Missing::Refused && is_needed(part)) {
        let Some(directory) = part.directory(&settings)? else { continue };
        let (file, shown) = (part.file(), directory.display());
        if !file.is_in(&directory) {
            let what = if directory.exists() {
                format!("contains no {}", file.name())
            } else {
                "does not exist".to_owned()
            };
            return Err(Failure::Usage(format!(
                "{shown} {what}, so it is not a data directory of Voltgate: name that of `voltgate up` with --data"
            )));
        }
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &[Part] = &[Part::Queue, Part::Store];

    fn refused(
        given: &[(&'static Setting, &str)],
        data: Option<&Path>,
        parts: &[Part],
        missing: Missing,
    ) -> String {
        let settings = Settings::of(given.iter().map(|(setting, value)| (*setting, (*value).to_owned())));
        match settle(&settings, data, parts, missing) {
            Err(failure @ Failure::Usage(_)) => failure.to_string(),
            other => panic!("{given:?} {data:?} {parts:?}: {:?}", other.map(|settled| settled.shown())),
        }
    }

    #[test]
    fn a_directory_beside_a_setting_that_names_another_place_is_refused_and_both_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path();
        for (setting, value, shown) in [
            (&BROKER_URL, "amqp://me:s3cret@host", "amqp://me:****@host"),
            (&BROKER_URL, "embedded:/elsewhere", "embedded:/elsewhere"),
            (&REDIS_URL, "redis://:s3cret@host/3", "redis://:****@host/3"),
            (&REDIS_HOST, "redis.example", "redis.example"),
            (&REDIS_PORT, "6380", "6380"),
        ] {
            for missing in [Missing::Made, Missing::Reported, Missing::Refused] {
                let why = refused(&[(setting, value)], Some(data), ALL, missing);
                let named = format!("{}={shown}", setting.name);
                assert!(why.contains(&named) && why.contains(&data.display().to_string()), "{why}");
            }
        }
    }

    #[test]
    fn a_setting_that_a_command_does_not_need_is_no_matter() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("store.db"), "").unwrap();
        let settings = Settings::of([(&BROKER_URL, "amqp://host".to_owned())]);
        let settled = settle(&settings, Some(directory.path()), &[Part::Store], Missing::Refused).unwrap();
        assert_eq!(Part::Store.directory(&settled).unwrap().as_deref(), Some(directory.path()));
        assert_eq!(settled.text(&BROKER_URL), "amqp://host");
    }

    #[test]
    fn a_directory_that_is_named_twice_is_named_once() {
        let directory = tempfile::tempdir().unwrap();
        let same = format!("embedded:{}", directory.path().display());
        let settings = Settings::of([(&REDIS_URL, same.clone())]);
        let settled = settle(&settings, Some(directory.path()), ALL, Missing::Made).unwrap();
        assert_eq!((settled.text(&REDIS_URL), settled.text(&BROKER_URL)), (same.as_str(), same.as_str()));
    }

    #[test]
    fn a_directory_without_what_is_looked_for_is_refused_wherever_it_is_named() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("queue.db"), "").unwrap();
        let nowhere = directory.path().join("typo");
        for data in [directory.path(), &nowhere] {
            let why = refused(&[], Some(data), &[Part::Store], Missing::Refused);
            assert!(why.contains(&data.display().to_string()) && why.contains("--data"), "{why}");
            let url = embedded(data).unwrap();
            refused(&[(&REDIS_URL, &url)], None, &[Part::Store], Missing::Refused);
        }
        assert!(!nowhere.exists());
        settle(&Settings::default(), Some(directory.path()), &[Part::Queue], Missing::Refused).unwrap();
        let both = &[Part::Queue, Part::Database];
        settle(&Settings::default(), Some(directory.path()), both, Missing::Refused).unwrap();
        let why = refused(&[], Some(directory.path()), &[Part::Database], Missing::Refused);
        assert!(why.contains("contains no platform.db"), "{why}");
    }

    #[test]
    fn a_directory_whose_name_a_setting_cannot_hold_is_refused() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        for name in [&b"data "[..], b"data\t", b"d\xffata"] {
            let data = Path::new(OsStr::from_bytes(name));
            refused(&[], Some(data), ALL, Missing::Made);
        }
    }
}
