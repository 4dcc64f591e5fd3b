//! The settings of the worker.

use std::net::IpAddr;
use std::time::Duration;

use authorization_queue::config::BrokerConfig;
use common::address_guard::AddressGuard;
use common::settings::{
    BIND_ADDRESS, CALLBACK_MAX_ATTEMPTS, CALLBACK_TIMEOUT_SEC, CALLBACK_WINDOW_SEC, SHUTDOWN_GRACE_SEC,
    SettingError, Settings, WORKER_CONCURRENCY, WORKER_HEALTH_PORT,
};
use common::webhook_signature::WebhookSigner;
use store::config::StoreConfig;
use url::Url;

/// What the worker needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where tasks come from.
    pub broker: BrokerConfig,
    /// Where records go.
    pub store: StoreConfig,
    /// Where acl-service is.
    pub acl_service: Url,
    /// Which addresses may be called back.
    pub guard: AddressGuard,
    /// How callbacks are made.
    pub callback: CallbackConfig,
    /// How callbacks are signed.
    pub signer: WebhookSigner,
    /// How many requests, and how many further callback attempts, may be in hand at once.
    pub concurrency: u16,
    /// Where to answer health checks, if at all.
    pub health: Option<(IpAddr, u16)>,
    /// How long stopping may take.
    pub grace: Duration,
}

/// How callbacks are made.
#[derive(Debug, Clone, Copy)]
pub struct CallbackConfig {
    /// The limit of one attempt, from the name look-up to the end of the answer.
    pub timeout: Duration,
    /// From the client's call to the end of all attempts.
    pub window: Duration,
    /// How often it is tried at most.
    pub max_attempts: u32,
}

impl Config {
    /// Reads the settings.
    ///
    /// # Errors
    /// One of them has a bad value.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        let bind = settings.parse_with(&BIND_ADDRESS, |text| text.parse().ok())?;
        let health_port = settings.list(&WORKER_HEALTH_PORT, |text| text.parse().ok())?;
        if health_port.len() > 1 {
            return Err(settings.bad(&WORKER_HEALTH_PORT));
        }
        Ok(Self {
            broker: BrokerConfig::from_settings(settings)?,
            store: StoreConfig::from_settings(settings)?,
            acl_service: settings.acl_service()?,
            guard: AddressGuard::from_settings(settings)?,
            callback: CallbackConfig {
                timeout: settings.seconds(&CALLBACK_TIMEOUT_SEC, 300)?,
                window: settings.seconds(&CALLBACK_WINDOW_SEC, 86_400)?,
                max_attempts: number(settings, &CALLBACK_MAX_ATTEMPTS, 100)?,
            },
            signer: WebhookSigner::from_settings(settings)?,
            concurrency: number(settings, &WORKER_CONCURRENCY, 10_000)?,
            health: health_port.first().map(|port| (bind, *port)),
            grace: settings.seconds(&SHUTDOWN_GRACE_SEC, 3600)?,
        })
    }
}

fn number<T: TryFrom<u64>>(
    settings: &Settings,
    setting: &common::settings::Setting,
    most: u64,
) -> Result<T, SettingError> {
    T::try_from(settings.number(setting, 1..=most)?).map_err(|_| settings.bad(setting))
}
