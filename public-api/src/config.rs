//! The settings of public-api.

use service_runtime::Service;
use service_runtime::metrics::Metric;
use std::net::IpAddr;
use std::time::Duration;

use crate::settings::{AUTHORIZATION_TIMEOUT_SEC, CHARGE_SERVICE_API, PUBLIC_API_PORT};
use authorization::config::{BrokerConfig, address_guard, webhook_signer};
use authorization::settings::{BROKER_URL, CALLBACK_ALLOWED_NETWORKS};
use common::address_guard::AddressGuard;
use common::webhook_signature::WebhookSigner;
use http_server::config::ServerConfig;
use http_server::settings::{API_KEY_BOOTSTRAP, BIND_ADDRESS, TRUSTED_PROXIES};
use service_runtime::settings::{SHUTDOWN_GRACE_SEC, Setting, SettingError, Settings, TLS_CA_FILE};
use store::config::StoreConfig;
use store::settings::REDIS_URL;
use url::Url;

/// The service, as it starts.
pub static SERVICE: Service = Service {
    name: "public-api",
    about: "Accepts requests over HTTP, publishes each to the broker as a task and answers 202 once the broker has \
     confirmed it. Shows the state of requests. Run as many instances as you need.",
    matter_most: &[
        &BROKER_URL,
        &REDIS_URL,
        &BIND_ADDRESS,
        &PUBLIC_API_PORT,
        &API_KEY_BOOTSTRAP,
        &AUTHORIZATION_TIMEOUT_SEC,
        &CALLBACK_ALLOWED_NETWORKS,
        &TRUSTED_PROXIES,
    ],
    settings: SETTINGS,
    metrics: METRICS,
    traced: &["http_server", "public_api"],
};

/// The rows of the settings that it reads.
pub const SETTINGS: &[&[Setting]] = &[
    service_runtime::settings::ALL,
    http_server::settings::ALL,
    store::settings::ALL,
    authorization::settings::ALL,
    crate::settings::ALL,
];

/// The metrics that it serves.
pub const METRICS: &[&[Metric]] = &[
    service_runtime::metrics::ALL,
    http_server::metrics::ALL,
    authorization::metrics::ALL,
    store::metrics::ALL,
    crate::metrics::ALL,
];

/// The configuration of public-api.
#[derive(Debug, Clone)]
pub struct Config {
    /// The broker and queues for tasks.
    pub broker: BrokerConfig,
    /// The store of records and idempotency keys.
    pub store: StoreConfig,
    /// Which addresses may be called back.
    pub guard: AddressGuard,
    /// The signer whose public keys are served.
    pub signer: WebhookSigner,
    /// Time from a client's call to its deadline.
    pub authorization_timeout: Duration,
    /// The address to listen on.
    pub bind: IpAddr,
    /// The port; 0 for any free one.
    pub port: u16,
    /// Access control and TLS.
    pub server: ServerConfig,
    /// How long shutdown may take.
    pub grace: Duration,
    /// The settings of charge-service's endpoints, if they are enabled.
    pub charge_service: Option<ChargeServiceConfig>,
}

/// The settings of charge-service's endpoints.
#[derive(Debug, Clone)]
pub struct ChargeServiceConfig {
    /// The URL of acl-service.
    pub acl_service: Url,
    /// Additional certificate authorities to trust for acl-service, as PEM.
    pub authorities: Option<Vec<u8>>,
}

impl Config {
    /// Reads the settings.
    ///
    /// # Errors
    /// Returns an error if a setting has a bad value.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        Ok(Self {
            broker: BrokerConfig::from_settings(settings)?,
            store: StoreConfig::from_settings(settings)?,
            guard: address_guard(settings)?,
            signer: webhook_signer(settings)?,
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
