//! The settings of platform-api.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use authorization::AclAccess;
use authorization::config::BrokerConfig;
use authorization::settings::BROKER_URL;
use charging::accounts::signing_keys::SigningKey;
use charging::accounts::{Password, TermsVersion, Username};
use charging::settings::DATABASE_URL;
use charging::{DatabaseConfig, PublicUrl};
use http_server::config::ServerConfig;
use http_server::settings::{API_KEY_BOOTSTRAP, BIND_ADDRESS};
use service_runtime::Service;
use service_runtime::metrics::Metric;
use service_runtime::settings::{
    AUTHORIZATION_SERVICE_URL, PLATFORM_ACL_KEY, SHUTDOWN_GRACE_SEC, Setting, SettingError, Settings,
};
use store::config::StoreConfig;
use store::settings::REDIS_URL;
use url::Url;

use crate::settings::{
    ACCESS_TOKEN_SEC, AUTH_RATE_PER_MIN, JWT_KEY_FILE, LIVE_STREAMS, PLATFORM_ADMIN_PASSWORD,
    PLATFORM_ADMIN_USERNAME, PLATFORM_API_PORT, REFRESH_GRACE_SEC, TERMS_VERSION,
};

/// The service, as it starts.
pub static SERVICE: Service = Service {
    name: "platform-api",
    about: "Serves the charging platform over HTTP: locations, stations, and what happens, live. It keeps everything in \
     the database, publishes events to the broker, keeps acl-service up to date, and asks the store for API keys. Run as \
     many instances as you need.",
    matter_most: &[
        &DATABASE_URL,
        &BROKER_URL,
        &REDIS_URL,
        &AUTHORIZATION_SERVICE_URL,
        &PLATFORM_ACL_KEY,
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
    /// The URL of acl-service.
    pub acl_service: Url,
    /// The key to present to acl-service, and the authorities that may have signed its certificate.
    pub acl_access: AclAccess,
    /// The address to listen on.
    pub bind: IpAddr,
    /// The port; 0 for any free one.
    pub port: u16,
    /// Access control and TLS.
    pub server: ServerConfig,
    /// The maximum number of live streams.
    pub live_streams: usize,
    /// How accounts sign in.
    pub accounts: AccountsConfig,
    /// How long shutdown may take.
    pub grace: Duration,
}

/// How accounts sign in.
#[derive(Debug, Clone)]
pub struct AccountsConfig {
    /// The issuer of access tokens: where people reach the platform.
    pub issuer: String,
    /// The keys of access tokens; none if the database keeps them.
    pub signing_keys: Vec<SigningKey>,
    /// How long an access token is valid.
    pub access_token: Duration,
    /// How long a refresh token that was used returns the same successor again.
    pub refresh_grace: Duration,
    /// How often an address may try in a minute; `None` for no limit.
    pub rate_per_minute: Option<NonZeroU32>,
    /// The version of the terms that must be accepted.
    pub terms: Option<TermsVersion>,
    /// The first administrator.
    pub admin: Option<(Username, Password)>,
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
            acl_service: settings.acl_service()?,
            acl_access: AclAccess::from_settings(settings, &PLATFORM_ACL_KEY)?,
            bind: settings.parse_with(&BIND_ADDRESS, |text| text.parse().ok())?,
            port: settings.port(&PLATFORM_API_PORT)?,
            server: ServerConfig::from_settings(settings)?.requiring_keys(),
            accounts: AccountsConfig::from_settings(settings)?,
            live_streams: usize::try_from(streams).unwrap_or(usize::MAX),
            grace: settings.seconds(&SHUTDOWN_GRACE_SEC, 3600)?,
        })
    }
}

impl AccountsConfig {
    fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        let keys = settings.file(&JWT_KEY_FILE)?;
        let keys =
            keys.map(|pem| std::str::from_utf8(&pem).ok().and_then(|pem| SigningKey::all_from_pem(pem).ok()));
        let signing_keys = match keys {
            None => Vec::new(),
            Some(keys) => keys.ok_or_else(|| settings.bad(&JWT_KEY_FILE))?,
        };
        let rate = settings.number(&AUTH_RATE_PER_MIN, 0..=1_000_000)?;
        let username: Option<Username> = optional(settings, &PLATFORM_ADMIN_USERNAME)?;
        let password: Option<Password> = optional(settings, &PLATFORM_ADMIN_PASSWORD)?;
        let admin = match (username, password) {
            (None, None) => None,
            (Some(username), Some(password)) => Some((username, password)),
            (None, Some(_)) => return Err(settings.bad(&PLATFORM_ADMIN_USERNAME)),
            (Some(_), None) => return Err(settings.bad(&PLATFORM_ADMIN_PASSWORD)),
        };
        Ok(Self {
            issuer: PublicUrl::from_settings(settings)?.to_string(),
            signing_keys,
            access_token: settings.seconds(&ACCESS_TOKEN_SEC, 86_400)?,
            refresh_grace: Duration::from_secs(settings.number(&REFRESH_GRACE_SEC, 0..=3600)?),
            rate_per_minute: NonZeroU32::new(u32::try_from(rate).unwrap_or(u32::MAX)),
            terms: optional(settings, &TERMS_VERSION)?,
            admin,
        })
    }
}

fn optional<T: std::str::FromStr>(settings: &Settings, setting: &Setting) -> Result<Option<T>, SettingError> {
    settings.parse_with(setting, |text| match text {
        "" => Some(None),
        text => text.parse().ok().map(Some),
    })
}
