//! The settings of public-api.

use std::net::IpAddr;
use std::time::Duration;

use authorization::config::BrokerConfig;
use common::address_guard::AddressGuard;
use common::settings::{
    API_KEY_BOOTSTRAP, AUTHORIZATION_TIMEOUT_SEC, BIND_ADDRESS, BROKER_URL, CALLBACK_ALLOWED_NETWORKS,
    CHARGE_SERVICE_API, PUBLIC_API_PORT, REDIS_URL, SHUTDOWN_GRACE_SEC, Setting, SettingError, Settings,
    TLS_CA_FILE, TRUSTED_PROXIES,
};
use common::webhook_signature::WebhookSigner;
use http_api::config::ServerConfig;
use store::config::StoreConfig;
use url::Url;

/// What it is, for `--help`.
pub const ABOUT: &str = "Takes requests over HTTP, puts each into the broker as a task and answers 202 when the broker has \
     confirmed it. Shows what became of them. Any number of them may run.";

/// What most installations have to decide.
pub const MATTER_MOST: &[&Setting] = &[
    &BROKER_URL,
    &REDIS_URL,
    &BIND_ADDRESS,
    &PUBLIC_API_PORT,
    &API_KEY_BOOTSTRAP,
    &AUTHORIZATION_TIMEOUT_SEC,
    &CALLBACK_ALLOWED_NETWORKS,
    &TRUSTED_PROXIES,
];

/// What public-api needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where tasks go.
    pub broker: BrokerConfig,
    /// Where records and idempotency keys are.
    pub store: StoreConfig,
    /// Which addresses may be called back.
    pub guard: AddressGuard,
    /// Whose public keys are served.
    pub signer: WebhookSigner,
    /// From a client's call to its deadline.
    pub authorization_timeout: Duration,
    /// Where to listen.
    pub bind: IpAddr,
    /// The port; 0 for any free one.
    pub port: u16,
    /// Who may call, and over TLS or not.
    pub server: ServerConfig,
    /// How long stopping may take.
    pub grace: Duration,
    /// What charge-service's endpoints need, where they are switched on.
    pub charge_service: Option<ChargeServiceConfig>,
}

/// What charge-service's endpoints need.
#[derive(Debug, Clone)]
pub struct ChargeServiceConfig {
    /// Where acl-service is.
    pub acl_service: Url,
    /// Certificates of further authorities that may have signed its own, as PEM.
    pub authorities: Option<Vec<u8>>,
}

impl Config {
    /// Reads the settings.
    ///
    /// # Errors
    /// One of them has a bad value.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        Ok(Self {
            broker: BrokerConfig::from_settings(settings)?,
            store: StoreConfig::from_settings(settings)?,
            guard: AddressGuard::from_settings(settings)?,
            signer: WebhookSigner::from_settings(settings)?,
            authorization_timeout: settings.seconds(&AUTHORIZATION_TIMEOUT_SEC, 3600)?,
            bind: settings.parse_with(&BIND_ADDRESS, |text| text.parse().ok())?,
            port: settings.port(&PUBLIC_API_PORT)?,
            server: ServerConfig::from_settings(settings)?,
            grace: settings.seconds(&SHUTDOWN_GRACE_SEC, 3600)?,
            charge_service: charge_service(settings)?,
        })
    }
}

fn charge_service(settings: &Settings) -> Result<Option<ChargeServiceConfig>, SettingError> {
    if !settings.parse_with(&CHARGE_SERVICE_API, |text| text.parse().ok())? {
        return Ok(None);
    }
    let (acl_service, authorities) = (settings.acl_service()?, settings.file(&TLS_CA_FILE)?);
    Ok(Some(ChargeServiceConfig { acl_service, authorities }))
}
