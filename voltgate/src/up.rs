//! The whole system in one process. Its parts communicate over HTTP and the queue as they do as separate processes, so
//! there is no second code path.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use authorization::settings::{BROKER_URL, CALLBACK_ALLOWED_NETWORKS};
use charging::Db;
use charging::settings::{DATABASE_URL, PUBLIC_URL};
use command_line::COMMIT;
use common::api_key::ApiKey;
use ocpp_gateway::settings::OCPP_ALLOW_OPEN;
use platform_api::settings::PLATFORM_API_PORT;
use service_runtime::exit::Failure;
use service_runtime::metrics::{self, Exposition};
use service_runtime::settings::{AUTHORIZATION_SERVICE_KEY, PLATFORM_ACL_KEY, Settings, without_password};
use service_runtime::shutdown::{self, unless_stopped};
use service_runtime::telemetry::LogConfig;
use store::settings::{REDIS_HOST, REDIS_PORT, REDIS_URL};
use store::{Store, Writes};
use task_queue::Broker;
use tokio_util::sync::CancellationToken;
use url::Url;
use worker::mail::WrittenMail;

use crate::{tables, terminal};

/// May be called back, because only this machine can request it.
const LOOPBACK: &str = "localhost";

/// All services, bound but not yet serving.
pub struct System {
    acl: acl_service::app::App,
    api: public_api::app::App,
    worker: worker::app::App,
    platform: platform_api::app::App,
    gateway: ocpp_gateway::app::App,
    broker: Arc<dyn Broker>,
    store: Store,
    db: Db,
    acl_address: SocketAddr,
    loopback_callbacks: bool,
    settings: Settings,
}

/// `voltgate up`.
pub(crate) async fn run(settings: &Settings) -> Result<(), Failure> {
    let traces = LogConfig::from_settings(settings)?.install("voltgate", tables::TRACED);
    let shutdown = shutdown::on_signal().map_err(Failure::broken)?;
    let exposition = metrics::install(COMMIT, tables::METRICS)?;
    let Some(system) = unless_stopped(&shutdown, System::build(settings)).await? else { return Ok(()) };
    let system = system.with_metrics(&exposition);
    system.introduce();
    let ran = system.run(shutdown).await;
    traces.flush().await;
    ran
}

impl System {
    /// Opens the queue, the store and the database, and binds the ports.
    ///
    /// # Errors
    /// Returns an error if a setting is bad, a dependency cannot be reached, or a port is taken.
    pub async fn build(settings: &Settings) -> Result<Self, Failure> {
        let settings = &with_public_url(admitting_services(settings.clone())?)?;
        // All settings are read first: a bad one must not surface when half of the system is running.
        let acl_config = acl_service::config::Config::from_settings(settings)?;
        let loopback_callbacks = acl_config.bind.is_loopback();
        let settings = if loopback_callbacks { allow_loopback(settings.clone()) } else { settings.clone() };
        // Only this machine can connect then, such as a simulated charger.
        let settings = match loopback_callbacks && !settings.is_given(&OCPP_ALLOW_OPEN) {
            true => settings.with_defaults([(&OCPP_ALLOW_OPEN, "true".to_owned())]),
            false => settings,
        };
        let mut api_config = public_api::config::Config::from_settings(&settings)?;
        let mut worker_config = worker::config::Config::from_settings(&settings)?;
        let mut platform_config = platform_api::config::Config::from_settings(&settings)?;
        let mut gateway_config = ocpp_gateway::config::Config::from_settings(&settings)?;
        if let Some(platform) = &mut worker_config.platform {
            platform.mail = platform.mail.clone().announcing(announce);
        }
        let store: Store =
            api_config.store.open(&[Writes::AccessLists, Writes::Notes, Writes::Records]).await?;
        // Of the worker, because its queues are those of the platform too.
        let broker = worker_config.broker.connect("up").await?;
        let db = platform_config.database.open().await?;
        let assembled = async {
            let acl = acl_service::app::App::build(&acl_config, &store)?;
            let acl_address = acl.address();
            worker_config.acl_service = acl_url(&settings, acl.scheme(), acl_address)?;
            platform_config.acl_service = worker_config.acl_service.clone();
            gateway_config.acl_service = worker_config.acl_service.clone();
            if let Some(charge_service) = &mut api_config.charge_service {
                charge_service.acl_service = worker_config.acl_service.clone();
            }
            let api = public_api::app::App::build(&api_config, store.clone(), broker.clone())?;
            let worker =
                worker::app::App::build(&worker_config, store.clone(), broker.clone(), Some(db.clone()))?;
            let platform =
                platform_api::app::App::build(&platform_config, db.clone(), &store, broker.clone()).await?;
            let gateway = ocpp_gateway::app::App::build(&gateway_config, db.clone(), &store)?;
            Ok(Self {
                acl,
                api,
                worker,
                platform,
                gateway,
                broker,
                store,
                db: db.clone(),
                acl_address,
                loopback_callbacks,
                settings,
            })
        }
        .await;
        if assembled.is_err() {
            // The file is complete then.
            db.close().await;
        }
        assembled
    }

    /// Adds `GET /metrics` to each port. All ports show the same metrics, those of all services.
    #[must_use]
    pub fn with_metrics(self, exposition: &Exposition) -> Self {
        Self {
            acl: self.acl.with_metrics(exposition.clone()),
            api: self.api.with_metrics(exposition.clone()),
            worker: self.worker.with_metrics(exposition.clone()),
            platform: self.platform.with_metrics(exposition.clone()),
            gateway: self.gateway.with_metrics(exposition.clone()),
            ..self
        }
    }

    /// The address of public-api.
    pub fn api_address(&self) -> SocketAddr {
        self.api.address()
    }

    /// The address of acl-service.
    pub fn acl_address(&self) -> SocketAddr {
        self.acl_address
    }

    /// The address of ocpp-gateway.
    pub(crate) fn gateway_address(&self) -> SocketAddr {
        self.gateway.address()
    }

    pub(crate) fn db(&self) -> &Db {
        &self.db
    }

    /// Runs until `shutdown`, then stops in a request's order: no more requests are accepted, those in flight are
    /// decided, and only then does acl-service stop.
    ///
    /// # Errors
    /// Returns an error if a service broke; the others are stopped.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Failure> {
        let acl_stops = CancellationToken::new();
        self.run_with_acl_until(shutdown, acl_stops).await
    }

    /// The same, with a token that stops acl-service before the others.
    pub(crate) async fn run_with_acl_until(
        self,
        shutdown: CancellationToken,
        acl_stops: CancellationToken,
    ) -> Result<(), Failure> {
        let worker_stops = CancellationToken::new();
        let (api, worker, acl, platform) = (self.api, self.worker, self.acl, self.platform);
        let gateway_done = CancellationToken::new();
        let gateway = async {
            let ran = Box::pin(self.gateway.run(shutdown.clone())).await;
            shutdown.cancel();
            gateway_done.cancel();
            ran
        };
        let platform = async {
            let ran = platform.run(shutdown.clone()).await;
            shutdown.cancel();
            ran
        };
        let api = async {
            let ran = api.run(shutdown.clone()).await;
            shutdown.cancel();
            worker_stops.cancel();
            ran
        };
        let worker = async {
            let ran = worker.run(worker_stops.clone()).await;
            shutdown.cancel();
            // It asks acl-service too.
            gateway_done.clone().cancelled_owned().await;
            acl_stops.cancel();
            ran
        };
        let acl = async {
            let ran = acl.run(acl_stops.clone()).await;
            // The demonstration stops acl-service on purpose; a service that broke stops the others.
            if ran.is_err() {
                shutdown.cancel();
            }
            ran
        };
        let (api, worker, acl, platform, gateway) = tokio::join!(api, worker, acl, platform, gateway);
        self.broker.close().await;
        self.store.close().await;
        self.db.close().await;
        api.and(gateway).and(worker).and(acl).and(platform)
    }

    fn introduce(&self) {
        let bold = terminal::bold();
        let line = |name: &str, value: &dyn std::fmt::Display| println!("  {bold}{name:<12}{bold:#} {value}");
        println!("voltgate is up");
        line("public-api", &format_args!("{}://{}", self.api.scheme(), self.api_address()));
        line("acl-service", &format_args!("{}://{}", self.acl.scheme(), self.acl_address()));
        line("platform-api", &format_args!("{}://{}", self.platform.scheme(), self.platform.address()));
        let scheme = if self.gateway.scheme() == "https" { "wss" } else { "ws" };
        line("ocpp-gateway", &format_args!("{scheme}://{}/ocpp/CHARGER", self.gateway.address()));
        line("queue", &without_password(self.settings.text(&BROKER_URL)));
        if self.settings.is_given(&REDIS_URL) {
            line("store", &without_password(self.settings.text(&REDIS_URL)));
        } else {
            line(
                "store",
                &format_args!(
                    "redis://{}:{}",
                    self.settings.text(&REDIS_HOST),
                    self.settings.text(&REDIS_PORT)
                ),
            );
        }
        line("database", &without_password(self.settings.text(&DATABASE_URL)));
        if self.loopback_callbacks {
            println!(
                "  Callbacks to this machine (127.0.0.1, localhost) are allowed, because the services listen on loopback only."
            );
        } else {
            println!(
                "  Callbacks to private addresses are refused, unless CALLBACK_ALLOWED_NETWORKS admits them."
            );
        }
    }
}

/// Prints the link of a mail that went to a folder, for the person who tries it out. Standard output may be closed.
fn announce(mail: &WrittenMail) {
    let (bold, file) = (terminal::bold(), mail.file.display().to_string());
    let place = mail.link.as_ref().unwrap_or(&file);
    let _ = writeln!(std::io::stdout(), "  {bold}{:<12}{bold:#} {} {place}", "mail", mail.kind);
}

/// The links in mails lead to platform-api, unless `PUBLIC_URL` names what stands before it.
fn with_public_url(settings: Settings) -> Result<Settings, Failure> {
    let port = settings.port(&PLATFORM_API_PORT)?;
    if settings.is_given(&PUBLIC_URL) || port == 0 {
        return Ok(settings);
    }
    let url = format!("{}:{port}", settings.this_machine());
    Ok(settings.with_defaults([(&PUBLIC_URL, url)]))
}

fn allow_loopback(settings: Settings) -> Settings {
    let given = settings.text(&CALLBACK_ALLOWED_NETWORKS);
    let networks = if given.is_empty() { LOOPBACK.to_owned() } else { format!("{given},{LOOPBACK}") };
    settings.with([(&CALLBACK_ALLOWED_NETWORKS, networks)])
}

/// The worker's access checks and the changes of platform-api need a key wherever other callers need one. If none is set,
/// this process generates one that only it knows.
fn admitting_services(mut settings: Settings) -> Result<Settings, Failure> {
    for setting in [&AUTHORIZATION_SERVICE_KEY, &PLATFORM_ACL_KEY] {
        if !settings.is_given(setting) {
            let key = ApiKey::generate().map_err(Failure::broken)?;
            settings = settings.with([(setting, key.reveal())]);
        }
    }
    Ok(settings)
}

/// A service that listens on all addresses is reached over loopback; over TLS by the name in its certificate, which is
/// that of `AUTHORIZATION_SERVICE_URL`, or `localhost`.
fn acl_url(settings: &Settings, scheme: &str, address: SocketAddr) -> Result<Url, Failure> {
    if scheme == "https" {
        let mut url = settings.acl_service()?;
        let _ = (url.set_scheme(scheme), url.set_port(Some(address.port())));
        return Ok(url);
    }
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    let url = format!("http://{}", SocketAddr::new(ip, address.port()));
    Url::parse(&url).map_err(|error| Failure::broken(format!("{url}: {error}")))
}
