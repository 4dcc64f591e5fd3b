//! The settings of platform-api.

use std::net::IpAddr;
use std::time::Duration;

use authorization::config::BrokerConfig;
use authorization::settings::BROKER_URL;
use charging::DatabaseConfig;
use charging::settings::DATABASE_URL;
use http_server::config::ServerConfig;
use http_server::settings::{API_KEY_BOOTSTRAP, BIND_ADDRESS};
use service_runtime::Service;
use service_runtime::metrics::Metric;
use service_runtime::settings::{SHUTDOWN_GRACE_SEC, Setting, SettingError, Settings};
use store::config::StoreConfig;
use store::settings::REDIS_URL;

use crate::settings::{LIVE_STREAMS, PLATFORM_API_PORT};

/// The service, as it starts.
pub static SERVICE: Service = Service {
    name: "platform-api",
    about: "Serves the charging platform over HTTP: locations, stations, and what happens, live. It keeps everything in \
     the database, publishes events to the broker, and asks the store for API keys. Run as many instances as you need.",
    matter_most: &[
        &DATABASE_URL,
        &BROKER_URL,
        &REDIS_URL,
        &BIND_ADDRESS,
        &PLATFORM_API_PORT,
        &API_KEY_BOOTSTRAP,
    ],
    settings: SETTINGS,
    metrics: METRICS,
    traced: &["http_server", "platform_api", "charging"],
};

/// The rows of the settings that it reads.
pub const SETTINGS: &[&[Setting]] = &[
    service_runtime::settings::ALL,
    http_server::settings::ALL,
    store::settings::ALL,
    authorization::settings::ALL,
    charging::settings::ALL,
    crate::settings::ALL,
];

/// The metrics that it serves.
pub const METRICS: &[&[Metric]] = &[
    service_runtime::metrics::ALL,
    http_server::metrics::ALL,
    authorization::metrics::ALL,
    store::metrics::ALL,
    charging::metrics::ALL,
    crate::metrics::ALL,
];

/// The configuration of platform-api.
#[derive(Debug, Clone)]
pub struct Config {
    /// The database of the platform.
    pub database: DatabaseConfig,
    /// The broker that events are published to.
    pub broker: BrokerConfig,
    /// The store of the API keys.
    pub store: StoreConfig,
    /// The address to listen on.
    pub bind: IpAddr,
    /// The port; 0 for any free one.
    pub port: u16,
    /// Access control and TLS.
    pub server: ServerConfig,
    /// The maximum number of live streams.
    pub live_streams: usize,
    /// How long shutdown may take.
    pub grace: Duration,
}

impl Config {
    /// Reads the settings.
    ///
    /// # Errors
    /// Returns an error if a setting has a bad value, or no database is set.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        let streams = settings.number(&LIVE_STREAMS, 1..=100_000)?;
        Ok(Self {
            database: DatabaseConfig::from_settings(settings)?.ok_or_else(|| settings.bad(&DATABASE_URL))?,
            broker: BrokerConfig::from_settings(settings)?,
            store: StoreConfig::from_settings(settings)?,
            bind: settings.parse_with(&BIND_ADDRESS, |text| text.parse().ok())?,
            port: settings.port(&PLATFORM_API_PORT)?,
            server: ServerConfig::from_settings(settings)?.requiring_keys(),
            live_streams: usize::try_from(streams).unwrap_or(usize::MAX),
            grace: settings.seconds(&SHUTDOWN_GRACE_SEC, 3600)?,
        })
    }
}
