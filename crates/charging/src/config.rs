//! The settings of the database, the same for every process that opens it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use service_runtime::exit::Failure;
use service_runtime::server_url::{self, Allowed, ServerUrl};
use service_runtime::settings::{STARTUP_TIMEOUT_SEC, SettingError, Settings};
use url::Url;

use crate::db::{Db, OpenError};
use crate::settings::{DATABASE_CONNECTIONS, DATABASE_URL, EVENTS_RETENTION_HOURS, PUBLIC_URL};

/// The parts of a URL that sqlx reads. It silently ignores other parts.
const ALLOWED: Allowed = Allowed {
    schemes: &["postgres", "postgresql"],
    parameters: &[
        ("sslmode", |text| {
            ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"].contains(&text)
        }),
        ("sslrootcert", |text| !text.is_empty()),
        ("sslcert", |text| !text.is_empty()),
        ("sslkey", |text| !text.is_empty()),
    ],
    ipv6: true,
};

/// How long events are stored.
///
/// # Errors
/// Returns an error if the setting has a bad value.
pub fn events_retention(settings: &Settings) -> Result<Duration, SettingError> {
    Ok(Duration::from_secs(settings.number(&EVENTS_RETENTION_HOURS, 1..=8760)? * 3600))
}

/// Where people reach the platform: a URL without a query, and without a `/` at its end when it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl(Url);

impl PublicUrl {
    /// Reads the setting.
    ///
    /// # Errors
    /// Returns an error if it has a bad value.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        settings.parse_with(&PUBLIC_URL, Self::parse)
    }

    fn parse(text: &str) -> Option<Self> {
        let url = server_url::http(text)?;
        let is_plain = url.query().is_none() && url.username().is_empty() && url.password().is_none();
        (is_plain && url.has_host()).then_some(Self(url))
    }

    /// The URL of a page. The code is behind a `#`, so that no browser sends it and no server logs it.
    pub fn page(&self, page: &str, code: &str) -> String {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push(page);
        }
        url.set_fragment(Some(code));
        url.into()
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

/// The database's location.
#[derive(Debug, Clone)]
pub struct DatabaseConfig {
    url: ServerUrl,
    connections: u32,
    limit: Duration,
}

impl DatabaseConfig {
    /// Reads the settings; `None` if no database is set.
    ///
    /// # Errors
    /// Returns an error if a setting has a bad value.
    pub fn from_settings(settings: &Settings) -> Result<Option<Self>, SettingError> {
        if !settings.is_given(&DATABASE_URL) {
            return Ok(None);
        }
        let connections = settings.number(&DATABASE_CONNECTIONS, 2..=1000)?;
        Ok(Some(Self {
            url: settings.server_url(&DATABASE_URL, &ALLOWED)?,
            connections: u32::try_from(connections).unwrap_or(u32::MAX),
            limit: settings.seconds(&STARTUP_TIMEOUT_SEC, 3600)?,
        }))
    }

    /// The database's location.
    pub fn url(&self) -> &ServerUrl {
        &self.url
    }

    /// How long a start waits for the database.
    pub fn startup_limit(&self) -> Duration {
        self.limit
    }

    /// The directory of an embedded database.
    pub fn directory(&self) -> Option<PathBuf> {
        self.url.expose().strip_prefix("embedded:").map(PathBuf::from)
    }

    /// Opens the database and brings its tables up to date.
    ///
    /// # Errors
    /// Returns an error that names the database if it cannot be used.
    pub async fn open(&self) -> Result<Db, Failure> {
        let opened = match self.directory() {
            Some(directory) => Db::open(&directory).await,
            None => Db::connect(self.url.expose(), self.connections, self.limit).await,
        };
        opened.map_err(|error| self.failure(&error))
    }

    /// Opens the database without waiting for PostgreSQL, for a process that has other work too.
    ///
    /// # Errors
    /// Returns an error that names the database if an embedded one cannot be used.
    pub async fn open_later(&self) -> Result<Db, Failure> {
        match self.directory() {
            Some(_) => self.open().await,
            None => {
                Db::connect_later(self.url.expose(), self.connections).map_err(|error| self.failure(&error))
            }
        }
    }

    /// Opens the database while another process may own the embedded directory.
    ///
    /// # Errors
    /// Returns an error that names the database if it cannot be used.
    pub async fn open_beside(&self) -> Result<Db, Failure> {
        let opened = match self.directory() {
            Some(directory) => Db::open_beside(&directory).await,
            None => Db::connect(self.url.expose(), self.connections, self.limit).await,
        };
        opened.map_err(|error| self.failure(&error))
    }

    fn failure(&self, error: &OpenError) -> Failure {
        let (what, at, why) = ("the database (DATABASE_URL)", self.url.to_string(), error.to_string());
        match error {
            OpenError::Migration(_) | OpenError::TooNew { .. } => Failure::Unusable { what, at, why },
            _ => Failure::Unreachable { what, at, why },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_below_the_public_url_with_its_code_behind_a_hash() {
        for (url, shown, page) in [
            ("https://charge.example", "https://charge.example", "https://charge.example/verify#A-1"),
            ("https://charge.example/", "https://charge.example", "https://charge.example/verify#A-1"),
            ("http://host:8000/of/us/", "http://host:8000/of/us", "http://host:8000/of/us/verify#A-1"),
        ] {
            let url = PublicUrl::parse(url).unwrap();
            assert_eq!((url.to_string().as_str(), url.page("verify", "A-1").as_str()), (shown, page));
        }
        let url = PublicUrl::parse("https://charge.example").unwrap();
        assert_eq!(url.page("reset", "a \"<\n"), "https://charge.example/reset#a%20%22%3C");
    }

    #[test]
    fn a_public_url_is_nothing_but_a_place() {
        for bad in [
            "",
            "charge.example",
            "ftp://host",
            "https://me:secret@host",
            "https://host?x=1",
            "https://host/#x",
        ] {
            assert_eq!(PublicUrl::parse(bad), None, "{bad}");
        }
    }
}
