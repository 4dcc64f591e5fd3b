//! The settings of ocpp-gateway.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use authorization::AclAccess;
use charging::DatabaseConfig;
use charging::settings::{DATABASE_URL, OCPP_MESSAGES_DAYS};
use http_server::ClientAuthorities;
use http_server::config::ServerConfig;
use http_server::settings::BIND_ADDRESS;
use service_runtime::Service;
use service_runtime::metrics::Metric;
use service_runtime::settings::{
    AUTHORIZATION_SERVICE_KEY, AUTHORIZATION_SERVICE_URL, SHUTDOWN_GRACE_SEC, Setting, SettingError, Settings,
};
use store::config::StoreConfig;
use store::settings::REDIS_URL;
use url::Url;

use crate::certificates::Authority;
use crate::settings::{
    OCPP_ALLOW_OPEN, OCPP_AUTHORIZE_TIMEOUT_SEC, OCPP_CALL_TIMEOUT_SEC, OCPP_CERTIFICATE_DAYS,
    OCPP_CLIENT_CA_FILE, OCPP_CLIENT_CRL_FILE, OCPP_DATA_TRANSFER_HANDLERS, OCPP_HEARTBEAT_SEC,
    OCPP_MAX_FRAME_KIB, OCPP_MAX_SOCKETS, OCPP_PING_SEC, OCPP_PORT, OCPP_SIGNING_CA_FILE,
    OCPP_SIGNING_KEY_FILE, OCPP_TLS_PORT, OCPP_TOKEN_PREFIX,
};
use crate::vendors::Handler;

/// The service, as it starts.
pub static SERVICE: Service = Service {
    name: "ocpp-gateway",
    about: "Holds the WebSockets of chargers, which speak OCPP 1.6. It answers Authorize by asking acl-service, records each \
            decision in the store, and keeps everything else in the database. Run as many instances as you need.",
    matter_most: &[
        &DATABASE_URL,
        &REDIS_URL,
        &AUTHORIZATION_SERVICE_URL,
        &AUTHORIZATION_SERVICE_KEY,
        &BIND_ADDRESS,
        &OCPP_PORT,
        &OCPP_ALLOW_OPEN,
    ],
    settings: SETTINGS,
    metrics: METRICS,
    traced: &["http_server", "ocpp_gateway", "charging"],
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

/// The configuration of ocpp-gateway.
#[derive(Debug, Clone)]
pub struct Config {
    /// The database of the platform.
    pub database: DatabaseConfig,
    /// The store that decisions are recorded in.
    pub store: StoreConfig,
    /// The URL of acl-service.
    pub acl_service: Url,
    /// The key to present to acl-service, and the authorities that may have signed its certificate.
    pub acl_access: AclAccess,
    /// The address to listen on.
    pub bind: IpAddr,
    /// The port; 0 for any free one.
    pub port: u16,
    /// The port for chargers that connect over TLS.
    pub tls_port: Option<u16>,
    /// Who may have signed the certificates of chargers.
    pub clients: ClientAuthorities,
    /// TLS, and who may read the metrics.
    pub server: ServerConfig,
    /// How chargers are served.
    pub ocpp: OcppConfig,
    /// How long stopping may take.
    pub grace: Duration,
}

/// How chargers are served.
#[derive(Debug, Clone)]
pub struct OcppConfig {
    /// Whether a charger without a password may connect.
    pub allow_open: bool,
    /// How often a charger sends a heartbeat.
    pub heartbeat: Duration,
    /// How often a charger is pinged.
    pub ping: Duration,
    /// How long a driver waits.
    pub authorize_limit: Duration,
    /// How long a charger may take to answer.
    pub call_limit: Duration,
    /// The largest message, in bytes.
    pub max_frame: usize,
    /// How many chargers may be connected.
    pub max_sockets: usize,
    /// What makes a driver token of an unknown tag.
    pub token_prefix: Option<String>,
    /// Whether the messages of chargers are stored.
    pub keeps_messages: bool,
    /// Who signs the certificates of chargers.
    pub authority: Option<Arc<Authority>>,
    /// Where the data of vendors goes.
    pub handlers: Vec<Handler>,
}

impl Config {
    /// Reads the settings.
    ///
    /// # Errors
    /// Returns an error if a setting has a bad value, or no database is set.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        Ok(Self {
            database: DatabaseConfig::from_settings(settings)?.ok_or_else(|| settings.bad(&DATABASE_URL))?,
            store: StoreConfig::from_settings(settings)?,
            acl_service: settings.acl_service()?,
            acl_access: AclAccess::from_settings(settings, &AUTHORIZATION_SERVICE_KEY)?,
            bind: settings.parse_with(&BIND_ADDRESS, |text| text.parse().ok())?,
            port: settings.port(&OCPP_PORT)?,
            tls_port: settings.parse_with(&OCPP_TLS_PORT, |text| match text {
                "" => Some(None),
                text => text.parse().ok().map(Some),
            })?,
            clients: ClientAuthorities {
                authorities: settings.file(&OCPP_CLIENT_CA_FILE)?,
                revoked: settings.file(&OCPP_CLIENT_CRL_FILE)?,
            },
            server: ServerConfig::from_settings(settings)?,
            ocpp: OcppConfig::from_settings(settings)?,
            grace: settings.seconds(&SHUTDOWN_GRACE_SEC, 3600)?,
        })
    }
}

impl OcppConfig {
    fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        let seconds = |setting, range| settings.number(setting, range).map(Duration::from_secs);
        let bytes = settings.number(&OCPP_MAX_FRAME_KIB, 64..=16_384)? * 1024;
        let sockets = settings.number(&OCPP_MAX_SOCKETS, 1..=1_000_000)?;
        Ok(Self {
            allow_open: settings.parse_with(&OCPP_ALLOW_OPEN, |text| text.parse().ok())?,
            heartbeat: seconds(&OCPP_HEARTBEAT_SEC, 10..=86_400)?,
            ping: seconds(&OCPP_PING_SEC, 1..=3600)?,
            authorize_limit: settings.parse_with(&OCPP_AUTHORIZE_TIMEOUT_SEC, |text| {
                let seconds: f64 = text.parse().ok()?;
                (0.1..=30.0).contains(&seconds).then(|| Duration::from_secs_f64(seconds))
            })?,
            call_limit: seconds(&OCPP_CALL_TIMEOUT_SEC, 1..=300)?,
            max_frame: usize::try_from(bytes).unwrap_or(usize::MAX),
            max_sockets: usize::try_from(sockets).unwrap_or(usize::MAX),
            token_prefix: settings.parse_with(&OCPP_TOKEN_PREFIX, |text| match text.len() {
                0 => Some(None),
                16..=60 => Some(Some(text.to_owned())),
                _ => None,
            })?,
            keeps_messages: settings.number(&OCPP_MESSAGES_DAYS, 0..=90)? > 0,
            authority: authority(settings)?.map(Arc::new),
            handlers: settings.list(&OCPP_DATA_TRANSFER_HANDLERS, Handler::parse)?,
        })
    }
}

/// The authority of the two files. One without the other is a slip.
fn authority(settings: &Settings) -> Result<Option<Authority>, SettingError> {
    let days = settings.number(&OCPP_CERTIFICATE_DAYS, 1..=3650)?;
    let valid_for = Duration::from_secs(days * 24 * 60 * 60);
    let text = |setting: &Setting| -> Result<Option<String>, SettingError> {
        Ok(settings.file(setting)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    };
    match (text(&OCPP_SIGNING_CA_FILE)?, text(&OCPP_SIGNING_KEY_FILE)?) {
        (None, None) => Ok(None),
        (Some(certificates), Some(key)) => Authority::new(&certificates, &key, valid_for)
            .map(Some)
            .map_err(|_| settings.bad(&OCPP_SIGNING_CA_FILE)),
        (None, Some(_)) => Err(settings.bad(&OCPP_SIGNING_CA_FILE)),
        (Some(_), None) => Err(settings.bad(&OCPP_SIGNING_KEY_FILE)),
    }
}
