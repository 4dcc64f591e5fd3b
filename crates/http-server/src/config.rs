//! The settings of every listener: API keys, rate limits and TLS.

use std::net::IpAddr;
use std::sync::Arc;

use crate::settings::{
    API_KEY_BOOTSTRAP, API_KEYS, BIND_ADDRESS, RATE_LIMIT_ADDRESS_PER_SEC, RATE_LIMIT_BURST_SEC,
    RATE_LIMIT_PER_SEC,
};
use common::api_key::{ApiKey, KeyId, Scope, Scopes, SecretHash};
use service_runtime::settings::{
    AUTHORIZATION_SERVICE_KEY, PLATFORM_ACL_KEY, Setting, SettingError, Settings,
};

use crate::client_address::TrustedProxies;
use crate::rate_limit::Rate;
use crate::tls::Certificate;

/// Default rate limits where keys are required: requests a second for each key, and for each address without one.
const DEFAULT_PER_KEY: u32 = 1000;
const DEFAULT_PER_ADDRESS: u32 = 50;

/// The access settings of a listener.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    pub(crate) mode: KeyMode,
    pub(crate) static_keys: Vec<StaticKey>,
    pub(crate) per_key: Option<Rate>,
    pub(crate) per_address: Option<Rate>,
    pub(crate) proxies: TrustedProxies,
    pub(crate) tls: Option<Arc<Certificate>>,
}

/// Whether callers need a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyMode {
    Required,
    /// A key is not required, but a wrong one is rejected.
    Optional,
    /// Keys are ignored.
    Off,
}

/// A key from the settings, which is in no store.
#[derive(Debug, Clone)]
pub(crate) struct StaticKey {
    pub(crate) id: KeyId,
    pub(crate) name: &'static str,
    pub(crate) hash: SecretHash,
    pub(crate) scopes: Scopes,
    /// False for services, which ask as often as there are requests.
    pub(crate) limited: bool,
}

impl ServerConfig {
    /// Reads the settings.
    ///
    /// # Errors
    /// Returns an error if a setting has a bad value, or names a file that cannot be used. The error shows no key.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        let bind: IpAddr = settings.parse_with(&BIND_ADDRESS, |text| text.parse().ok())?;
        let mode = settings.parse_with(&API_KEYS, |text| match text {
            "" if bind.is_loopback() => Some(KeyMode::Optional),
            "" | "required" => Some(KeyMode::Required),
            "optional" => Some(KeyMode::Optional),
            "off" => Some(KeyMode::Off),
            _ => None,
        })?;
        let burst = u32::try_from(settings.number(&RATE_LIMIT_BURST_SEC, 1..=3600)?).unwrap_or(u32::MAX);
        let rate = |setting: &Setting, default: u32| {
            let default = if mode == KeyMode::Required { default } else { 0 };
            let number = |text: &str| if text.is_empty() { Some(default) } else { text.parse().ok() };
            let per_second =
                settings.parse_with(setting, |text| number(text).filter(|rate| *rate <= 1_000_000));
            per_second.map(|per_second| Rate::new(per_second, burst))
        };
        let bootstrap = settings.list(&API_KEY_BOOTSTRAP, |text| text.parse().ok())?;
        Ok(Self {
            mode,
            static_keys: bootstrap.iter().map(StaticKey::bootstrap).collect(),
            per_key: rate(&RATE_LIMIT_PER_SEC, DEFAULT_PER_KEY)?,
            per_address: rate(&RATE_LIMIT_ADDRESS_PER_SEC, DEFAULT_PER_ADDRESS)?,
            proxies: TrustedProxies::from_settings(settings)?,
            tls: Certificate::from_settings(settings)?,
        })
    }

    /// The same for a service whose callers need a key even on this machine.
    #[must_use]
    pub fn requiring_keys(self) -> Self {
        Self { mode: KeyMode::Required, ..self }
    }

    /// The same for acl-service, which admits the worker's access checks and the changes of platform-api by the keys that
    /// they have in their settings too.
    ///
    /// # Errors
    /// Returns an error if a setting is not a key.
    pub fn admitting_services(mut self, settings: &Settings) -> Result<Self, SettingError> {
        let keys = settings.list(&AUTHORIZATION_SERVICE_KEY, |text| text.parse().ok())?;
        self.static_keys.extend(keys.iter().map(StaticKey::worker));
        let keys = settings.list(&PLATFORM_ACL_KEY, |text| text.parse().ok())?;
        self.static_keys.extend(keys.iter().map(StaticKey::platform));
        Ok(self)
    }
}

impl StaticKey {
    fn bootstrap(key: &ApiKey) -> Self {
        let (id, hash, scopes) = (key.id().clone(), key.hash(), Scopes::everything());
        Self { id, name: "API_KEY_BOOTSTRAP", hash, scopes, limited: true }
    }

    fn worker(key: &ApiKey) -> Self {
        let (id, hash, scopes) = (key.id().clone(), key.hash(), Scopes::one(Scope::Authorize));
        Self { id, name: "AUTHORIZATION_SERVICE_KEY", hash, scopes, limited: false }
    }

    fn platform(key: &ApiKey) -> Self {
        let (id, hash, scopes) = (key.id().clone(), key.hash(), Scopes::one(Scope::Acl));
        Self { id, name: "platform-api", hash, scopes, limited: false }
    }
}
