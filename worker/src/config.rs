//! The settings of the worker.

use service_runtime::Service;
use service_runtime::metrics::Metric;
use std::net::IpAddr;
use std::time::Duration;

use crate::mail::MailConfig;
use crate::settings::{
    CALLBACK_MAX_ATTEMPTS, CALLBACK_TIMEOUT_SEC, CALLBACK_WINDOW_SEC, PLATFORM_CONCURRENCY,
    SCHEDULER_TICK_SEC, WORKER_AUTOSCALE, WORKER_CONCURRENCY, WORKER_HEALTH_PORT, WORKER_HOSTNAME,
    WORKER_STATE_FILE, WORKER_TASK_EVENTS,
};
use authorization::AclAccess;
use authorization::config::{BrokerConfig, address_guard, webhook_signer};
use authorization::settings::{BROKER_URL, CALLBACK_ALLOWED_NETWORKS, WEBHOOK_SECRET};
use charging::DatabaseConfig;
use charging::config::events_retention;
use charging::settings::{DATABASE_URL, OCPP_MESSAGES_DAYS};
use common::address_guard::AddressGuard;
use common::webhook_signature::WebhookSigner;
use http_server::config::ServerConfig;
use http_server::settings::BIND_ADDRESS;
use service_runtime::settings::{
    AUTHORIZATION_SERVICE_KEY, AUTHORIZATION_SERVICE_URL, SHUTDOWN_GRACE_SEC, Setting, SettingError, Settings,
};
use store::config::StoreConfig;
use store::settings::REDIS_URL;
use task_queue::{Autoscale, ControlConfig};
use url::Url;

/// The service, as it starts.
pub static SERVICE: Service = Service {
    name: "worker",
    about: "Decides requests, records each decision and calls the client back. It takes tasks from the broker, asks \
     acl-service, and writes to the store. With a database it also runs the platform's tasks. Run as many instances as \
     you need.",
    matter_most: &[
        &BROKER_URL,
        &REDIS_URL,
        &AUTHORIZATION_SERVICE_URL,
        &AUTHORIZATION_SERVICE_KEY,
        &CALLBACK_ALLOWED_NETWORKS,
        &WEBHOOK_SECRET,
        &WORKER_CONCURRENCY,
        &WORKER_HEALTH_PORT,
        &DATABASE_URL,
    ],
    settings: SETTINGS,
    metrics: METRICS,
    traced: &["http_server", "authorization", "charging", "worker"],
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

/// The settings of the worker.
#[derive(Debug, Clone)]
pub struct Config {
    /// The broker that tasks come from.
    pub broker: BrokerConfig,
    /// The store that records are written to.
    pub store: StoreConfig,
    /// The URL of acl-service.
    pub acl_service: Url,
    /// The key to present to acl-service, and the authorities that may have signed its certificate.
    pub acl_access: AclAccess,
    /// Who may call the worker's own listener.
    pub server: ServerConfig,
    /// Which addresses may be called back.
    pub guard: AddressGuard,
    /// How callbacks are made.
    pub callback: CallbackConfig,
    /// How callbacks are signed.
    pub signer: WebhookSigner,
    /// How many requests, and how many further callback attempts, may be in flight at once. With autoscale, the
    /// maximum.
    pub concurrency: u16,
    /// The bounds of that number, if it follows the load.
    pub autoscale: Option<Autoscale>,
    /// How the worker appears to Celery's tools.
    pub control: ControlConfig,
    /// Where to answer health checks, if at all.
    pub health: Option<(IpAddr, u16)>,
    /// How long stopping may take.
    pub grace: Duration,
    /// The platform's database, and how its tasks run; `None` for a worker that runs the authorization tasks only.
    pub platform: Option<PlatformConfig>,
}

/// How the platform's tasks run.
#[derive(Debug, Clone)]
pub struct PlatformConfig {
    /// The database.
    pub database: DatabaseConfig,
    /// How many of them may be in flight at once.
    pub concurrency: u16,
    /// How often the scheduler looks for periodic tasks that are due.
    pub tick: Duration,
    /// How long events are stored.
    pub events_retention: Duration,
    /// How long messages of chargers are stored.
    pub messages_retention: Duration,
    /// How mails are written, and where they go.
    pub mail: MailConfig,
}

/// How callbacks are made.
#[derive(Debug, Clone, Copy)]
pub struct CallbackConfig {
    /// The time limit of one attempt, from the name look-up to the end of the answer.
    pub timeout: Duration,
    /// The delivery window, from the decision to the end of all attempts.
    pub window: Duration,
    /// The maximum number of attempts.
    pub max_attempts: u32,
}

impl Config {
    /// Reads the settings.
    ///
    /// # Errors
    /// Returns an error if a setting has a bad value.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        let bind = settings.parse_with(&BIND_ADDRESS, |text| text.parse().ok())?;
        let health_port = settings.list(&WORKER_HEALTH_PORT, |text| text.parse().ok())?;
        let autoscale = autoscale(settings)?;
        if health_port.len() > 1 {
            return Err(settings.bad(&WORKER_HEALTH_PORT));
        }
        let platform = PlatformConfig::from_settings(settings)?;
        let broker = BrokerConfig::from_settings(settings)?;
        Ok(Self {
            broker: if platform.is_some() { broker.with_queue(platform_queue::QUEUE) } else { broker },
            store: StoreConfig::from_settings(settings)?,
            acl_service: settings.acl_service()?,
            acl_access: AclAccess::from_settings(settings, &AUTHORIZATION_SERVICE_KEY)?,
            server: ServerConfig::from_settings(settings)?,
            guard: address_guard(settings)?,
            callback: CallbackConfig {
                timeout: settings.seconds(&CALLBACK_TIMEOUT_SEC, 300)?,
                window: settings.seconds(&CALLBACK_WINDOW_SEC, 86_400)?,
                max_attempts: number(settings, &CALLBACK_MAX_ATTEMPTS, 100)?,
            },
            signer: webhook_signer(settings)?,
            concurrency: match autoscale {
                Some(bounds) => u16::try_from(bounds.max).unwrap_or(u16::MAX),
                None => number(settings, &WORKER_CONCURRENCY, 10_000)?,
            },
            autoscale,
            control: ControlConfig {
                hostname: given(settings, &WORKER_HOSTNAME),
                task_events: settings.parse_with(&WORKER_TASK_EVENTS, |text| text.parse().ok())?,
                state_file: given(settings, &WORKER_STATE_FILE).map(Into::into),
                conf: settings
                    .shown()
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value.into()))
                    .collect(),
            },
            health: health_port.first().map(|port| (bind, *port)),
            grace: settings.seconds(&SHUTDOWN_GRACE_SEC, 3600)?,
            platform,
        })
    }
}

impl PlatformConfig {
    /// Every setting is read, also without a database: a bad value is named in any case.
    fn from_settings(settings: &Settings) -> Result<Option<Self>, SettingError> {
        let concurrency = number(settings, &PLATFORM_CONCURRENCY, 1000)?;
        let tick = settings.seconds(&SCHEDULER_TICK_SEC, 60)?;
        let events_retention = events_retention(settings)?;
        let days = settings.number(&OCPP_MESSAGES_DAYS, 0..=90)?;
        let messages_retention = Duration::from_secs(days * 86_400);
        let database = DatabaseConfig::from_settings(settings)?;
        let mail = MailConfig::from_settings(settings, database.as_ref())?;
        Ok(database.map(|database| Self {
            database,
            concurrency,
            tick,
            events_retention,
            messages_retention,
            mail,
        }))
    }
}

fn given(settings: &Settings, setting: &service_runtime::settings::Setting) -> Option<String> {
    settings.is_given(setting).then(|| settings.text(setting).to_owned())
}

fn autoscale(settings: &Settings) -> Result<Option<Autoscale>, SettingError> {
    let slots = |text: &str| text.parse().ok().filter(|slots| (1..=10_000).contains(slots));
    match settings.list(&WORKER_AUTOSCALE, slots)?[..] {
        [] => Ok(None),
        [max, min] if min <= max => Ok(Some(Autoscale::between(min, max))),
        _ => Err(settings.bad(&WORKER_AUTOSCALE)),
    }
}

fn number<T: TryFrom<u64>>(
    settings: &Settings,
    setting: &service_runtime::settings::Setting,
    most: u64,
) -> Result<T, SettingError> {
    T::try_from(settings.number(setting, 1..=most)?).map_err(|_| settings.bad(setting))
}
