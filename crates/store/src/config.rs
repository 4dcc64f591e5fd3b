//! The settings of the store, the same for every process that opens one.

use std::time::Duration;

use crate::settings::{LOG_RETENTION_DAYS, REDIS_HOST, REDIS_KEY_PREFIX, REDIS_PORT, REDIS_URL};
use service_runtime::exit::Failure;
use service_runtime::server_url::{Allowed, ServerUrl};
use service_runtime::settings::{STARTUP_TIMEOUT_SEC, SettingError, Settings};

use crate::diagnostics::{StoreFacts, examine};
use crate::{Store, StoreError, StoreOptions, Writes};

/// The parts of a URL that the redis crate reads. It silently ignores other parts.
const ALLOWED: Allowed = Allowed {
    schemes: &["redis"],
    parameters: &[("protocol", |text| ["2", "3", "resp2", "resp3"].contains(&text))],
    ipv6: true,
};

/// The store's location and options.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    url: ServerUrl,
    options: StoreOptions,
    limit: Duration,
}

impl StoreConfig {
    /// Reads the settings.
    ///
    /// # Errors
    /// Returns an error if a setting has a bad value.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        let url = if settings.is_given(&REDIS_URL) {
            settings.server_url(&REDIS_URL, &ALLOWED)?
        } else {
            let host = settings
                .parse_with(&REDIS_HOST, |text| (!text.contains(['/', '@', ' '])).then(|| text.to_owned()))?;
            // An IPv6 address needs brackets in a URL.
            let host = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host };
            let url = format!("redis://{host}:{}", settings.port(&REDIS_PORT)?);
            ServerUrl::parse(&url, &ALLOWED).map_err(|_| settings.bad(&REDIS_HOST))?
        };
        let days = settings.number(&LOG_RETENTION_DAYS, 1..=3650)?;
        let key_prefix = settings.parse_with(&REDIS_KEY_PREFIX, |text| {
            (text.len() <= 64 && !text.contains(char::is_whitespace)).then(|| text.to_owned())
        })?;
        let options = StoreOptions { key_prefix, retention: Duration::from_secs(days * 24 * 3600) };
        Ok(Self { url, options, limit: settings.seconds(&STARTUP_TIMEOUT_SEC, 3600)? })
    }

    /// The store's location.
    pub fn url(&self) -> &ServerUrl {
        &self.url
    }

    /// Examines the store without opening it.
    ///
    /// # Errors
    /// Returns an error if the store cannot be reached.
    pub async fn examine(&self) -> Result<StoreFacts, StoreError> {
        examine(self.url.expose(), &self.options.key_prefix, self.limit).await
    }

    /// Opens the store and checks that it accepts what this process writes.
    ///
    /// # Errors
    /// Returns an error that names the store if the store cannot be reached or written to.
    pub async fn open(&self, writes: &[Writes]) -> Result<Store, Failure> {
        tracing::debug!(looking_for = %self.url, "opening the store");
        let opened = Store::open(self.url.expose(), self.options.clone(), self.limit).await;
        let store = opened.map_err(|error| self.failure(error))?;
        for &writes in writes {
            store.key_values().probe(writes).await.map_err(|error| self.failure(error))?;
        }
        Ok(store)
    }

    /// Opens the store while another process may own the embedded directory.
    ///
    /// # Errors
    /// Returns an error that names the store if the store cannot be reached.
    pub async fn open_beside(&self) -> Result<Store, Failure> {
        let opened = Store::open_beside(self.url.expose(), self.options.clone(), self.limit).await;
        opened.map_err(|error| self.failure(error))
    }

    fn failure(&self, error: StoreError) -> Failure {
        match error {
            StoreError::BadUrl => SettingError::Bad {
                name: REDIS_URL.name,
                value: self.url.to_string(),
                expected: REDIS_URL.expected,
            }
            .into(),
            StoreError::WrongServer(why) => Failure::Unusable {
                what: "the store (REDIS_URL)",
                at: self.url.to_string(),
                why: why.to_owned(),
            },
            error => Failure::Unreachable {
                what: "the store (REDIS_URL)",
                at: self.url.to_string(),
                why: error.to_string(),
            },
        }
    }
}
