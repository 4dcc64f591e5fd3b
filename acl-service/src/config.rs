//! The settings of acl-service.

use service_runtime::Service;
use service_runtime::metrics::Metric;
use std::net::IpAddr;
use std::time::Duration;

use http_server::config::ServerConfig;
use http_server::settings::{API_KEY_BOOTSTRAP, BIND_ADDRESS};
use service_runtime::settings::{
    AUTHORIZATION_SERVICE_KEY, AUTHORIZATION_SERVICE_PORT, PLATFORM_ACL_KEY, SHUTDOWN_GRACE_SEC, Setting,
    SettingError, Settings,
};
use store::config::StoreConfig;
use store::settings::REDIS_URL;

/// The service, as it starts.
pub static SERVICE: Service = Service {
    name: "acl-service",
    about: "Serves the access lists over HTTP: who may charge at which station. Nothing else reads or writes them. \
     Run as many instances as you need.",
    matter_most: &[
        &REDIS_URL,
        &BIND_ADDRESS,
        &AUTHORIZATION_SERVICE_PORT,
        &AUTHORIZATION_SERVICE_KEY,
        &PLATFORM_ACL_KEY,
        &API_KEY_BOOTSTRAP,
    ],
    settings: SETTINGS,
    metrics: METRICS,
    traced: &["http_server", "acl_service"],
};

/// The rows of the settings that it reads.
pub const SETTINGS: &[&[Setting]] =
    &[service_runtime::settings::ALL, http_server::settings::ALL, store::settings::ALL];

/// The metrics that it serves.
pub const METRICS: &[&[Metric]] =
    &[service_runtime::metrics::ALL, http_server::metrics::ALL, store::metrics::ALL, crate::metrics::ALL];

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
            server: ServerConfig::from_settings(settings)?.admitting_services(settings)?,
            grace: settings.seconds(&SHUTDOWN_GRACE_SEC, 3600)?,
        })
    }
}
