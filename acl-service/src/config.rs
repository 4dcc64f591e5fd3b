//! The settings of acl-service.

use std::net::IpAddr;
use std::time::Duration;

use common::settings::{
    API_KEY_BOOTSTRAP, AUTHORIZATION_SERVICE_KEY, AUTHORIZATION_SERVICE_PORT, BIND_ADDRESS, REDIS_URL,
    SHUTDOWN_GRACE_SEC, Setting, SettingError, Settings,
};
use http_api::config::ServerConfig;
use store::config::StoreConfig;

/// The description for `--help`.
pub const ABOUT: &str = "Serves the access lists over HTTP: who may charge at which station. Nothing else reads or writes them. \
     Run as many instances as you need.";

/// The settings that most installations have to decide.
pub const MATTER_MOST: &[&Setting] =
    &[&REDIS_URL, &BIND_ADDRESS, &AUTHORIZATION_SERVICE_PORT, &AUTHORIZATION_SERVICE_KEY, &API_KEY_BOOTSTRAP];

/// The configuration of acl-service.
#[derive(Debug, Clone)]
pub struct Config {
    /// The store of the lists.
    pub store: StoreConfig,
    /// The address to listen on.
    pub bind: IpAddr,
    /// The port; 0 for any free one.
    pub port: u16,
    /// Access control and TLS.
    pub server: ServerConfig,
    /// How long shutdown may take.
    pub grace: Duration,
}

impl Config {
    /// Reads the settings.
    ///
    /// # Errors
    /// Returns an error if a setting has a bad value.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        Ok(Self {
            store: StoreConfig::from_settings(settings)?,
            bind: settings.parse_with(&BIND_ADDRESS, |text| text.parse().ok())?,
            port: settings.port(&AUTHORIZATION_SERVICE_PORT)?,
            server: ServerConfig::from_settings(settings)?.admitting_the_worker(settings)?,
            grace: settings.seconds(&SHUTDOWN_GRACE_SEC, 3600)?,
        })
    }
}
