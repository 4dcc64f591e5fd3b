//! The server that every service runs in. It binds first, so that the port is known, then serves until shutdown. Each
//! request passes, from the outside in: counting and tracing, security headers, the limit on the path's length, the
//! resource's gate, the time limit, the handler.

use std::future::Future;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, Data, PathConfig, ServiceConfig};
use actix_web::{App, Error, HttpRequest, HttpResponse, HttpServer, ResponseError};
use common::key_store::KeyStore;
use service_runtime::exit::Failure;
use service_runtime::metrics::Exposition;
use tokio_util::sync::CancellationToken;
use utoipa::openapi::OpenApi;

use crate::accounts::Accounts;
use crate::config::{KeyMode, ServerConfig};
use crate::gate::Gate;
use crate::route::Route;
use crate::tls::{Certificate, ClientAuthorities};
use crate::{Problem, observation, openapi, security_headers, tls};

/// Maximum length of a path with its query. Longer ones are rejected, so that nothing downstream has to hold them.
const MAX_PATH: usize = 8192;

/// Longer than clients (reqwest: 90 s) and load balancers keep an idle connection, so that they close it first. A
/// request that is sent while the server closes the connection gets no response (seen: one in 2,000 with 5 s).
const KEEP_ALIVE: Duration = Duration::from_secs(120);

/// Time limit for the whole head of a request.
const HEAD_LIMIT: Duration = Duration::from_secs(10);

/// A port that is bound but not yet served.
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    gate: Data<Gate>,
    certificate: Option<Arc<Certificate>>,
    exposition: Option<Exposition>,
    document: Option<Data<openapi::Text>>,
    secured: Option<Secured>,
}

/// A second port, which speaks TLS whatever the first one does.
struct Secured {
    listener: TcpListener,
    address: SocketAddr,
    certificate: Arc<Certificate>,
    clients: ClientAuthorities,
}

fn bind(wanted: SocketAddr) -> Result<(TcpListener, SocketAddr), Failure> {
    let taken = |error: std::io::Error| Failure::broken(format!("cannot listen on {wanted}: {error}"));
    let listener = TcpListener::bind(wanted).map_err(taken)?;
    let address = listener.local_addr().map_err(taken)?;
    Ok((listener, address))
}

impl Bound {
    /// Binds.
    ///
    /// # Errors
    /// Returns an error if the port is taken, or the address does not belong to this machine.
    pub fn to(address: IpAddr, port: u16) -> Result<Self, Failure> {
        let (listener, address) = bind(SocketAddr::new(address, port))?;
        let gate = Data::new(Gate::open());
        let (certificate, exposition, document, secured) = (None, None, None, None);
        Ok(Self { listener, address, gate, certificate, exposition, document, secured })
    }

    /// Adds the gate, and TLS if the settings name files. Without it every caller is admitted.
    #[must_use]
    pub fn guarded(self, config: &ServerConfig, keys: Arc<dyn KeyStore>) -> Self {
        if config.mode != KeyMode::Required && !self.address.ip().is_loopback() {
            let address = self.address;
            tracing::warn!(%address, "other machines can reach this address, and no API key is required (API_KEYS)");
        }
        self.with_gate(config, Gate::new(config, keys))
    }

    /// The same for a service with accounts: access tokens are accepted beside keys.
    #[must_use]
    pub fn guarded_with_accounts(
        self,
        config: &ServerConfig,
        keys: Arc<dyn KeyStore>,
        accounts: Arc<dyn Accounts>,
    ) -> Self {
        self.with_gate(config, Gate::new(config, keys).with_accounts(accounts))
    }

    fn with_gate(self, config: &ServerConfig, gate: Gate) -> Self {
        Self { gate: Data::new(gate), certificate: config.tls.clone(), ..self }
    }

    /// Binds a second port for TLS, and leaves the first one without it, whatever the settings of TLS are.
    ///
    /// # Errors
    /// Returns an error if the settings name no certificate, or the port is taken.
    pub fn beside_tls(
        self,
        config: &ServerConfig,
        port: Option<u16>,
        clients: &ClientAuthorities,
    ) -> Result<Self, Failure> {
        let secured = match port {
            None => None,
            Some(port) => {
                let missing = || Failure::broken("a port for TLS needs TLS_CERT_FILE and TLS_KEY_FILE");
                let certificate = config.tls.clone().ok_or_else(missing)?;
                let (listener, address) = bind(SocketAddr::new(self.address.ip(), port))?;
                Some(Secured { listener, address, certificate, clients: clients.clone() })
            }
        };
        Ok(Self { certificate: None, secured, ..self })
    }

    /// The address of the second port.
    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.secured.as_ref().map(|secured| secured.address)
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.certificate.is_some() { "https" } else { "http" }
    }

    /// Adds `GET /metrics`.
    #[must_use]
    pub fn with_metrics(self, exposition: Option<Exposition>) -> Self {
        Self { exposition, ..self }
    }

    /// Adds `GET /openapi.json`, `GET /docs`, the page that shows it, and a redirect from `/` to the page.
    #[must_use]
    pub fn documented(self, document: &OpenApi) -> Self {
        Self { document: Some(Data::new(document.into())), ..self }
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves `routes` as the service of this name until `shutdown`, then lets requests in flight finish within
    /// `grace`.
    ///
    /// # Errors
    /// Returns an error if the server could not be started, or broke.
    pub fn serve<F>(
        self,
        service: &'static str,
        routes: F,
        grace: Duration,
        shutdown: CancellationToken,
    ) -> impl Future<Output = Result<(), Failure>> + use<F>
    where
        F: Fn(&mut ServiceConfig) + Clone + Send + 'static,
    {
        let is_tls = self.certificate.is_some();
        let (gate, certificate) = (self.gate, self.certificate);
        let (exposition, tidied) = (self.exposition.clone(), self.exposition);
        let document = self.document;
        let secured = self.secured;
        let served_beside = secured.as_ref().map(|secured| Arc::clone(&secured.certificate));
        let server = HttpServer::new(move || {
            let other = Route::of("other");
            App::new()
                .app_data(gate.clone())
                .wrap(from_fn(refuse_long_path))
                .wrap(from_fn(move |request: ServiceRequest, next: Next<BoxBody>| {
                    security_headers::add(is_tls, request, next)
                }))
                .wrap_fn(move |request, next| observation::observe(service, &other, request, next))
                .configure(name_the_culprit)
                .configure(|config| observation::exposition(config, exposition.as_ref()))
                .configure(|config| openapi::publish(config, document.as_ref()))
                .configure(routes.clone())
                .default_service(web::to(no_such_path))
        })
        .on_connect(tls::note_peer)
        .disable_signals()
        .shutdown_timeout(grace.as_secs())
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(HEAD_LIMIT);
        let listener = self.listener;
        let tls = certificate.clone().map(|certificate| certificate.server_config(None)).transpose();
        let server = tls.and_then(|tls| {
            let listening = match tls {
                Some(tls) => server.listen_rustls_0_23(listener, tls),
                None => server.listen(listener),
            };
            let listening = match secured {
                Some(Secured { listener, certificate, clients, .. }) => {
                    let tls = certificate.server_config(Some(&clients))?;
                    listening.and_then(|server| server.listen_rustls_0_23(listener, tls))
                }
                None => listening,
            };
            listening.map(HttpServer::run).map_err(broken)
        });
        async move {
            let server = server?;
            let handle = server.handle();
            let stop = async {
                shutdown.cancelled().await;
                handle.stop(true).await;
            };
            tokio::select! {
                (served, ()) = async { tokio::join!(server, stop) } => served.map_err(broken),
                () = renew(certificate.or(served_beside)) => Ok(()),
                () = observation::tidy(tidied.as_ref()) => Ok(()),
            }
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn broken(error: std::io::Error) -> Failure {
    Failure::broken(format!("the HTTP server broke: {error}"))
}

async fn no_such_path(request: HttpRequest) -> Result<HttpResponse, Problem> {
    Err(Problem::not_found("path", format!("there is no {}", request.path())))
}

/// Errors that actix returns before a handler runs get the same form as all others.
fn name_the_culprit(config: &mut ServiceConfig) {
    config.app_data(
        PathConfig::default().error_handler(|error, _| Problem::invalid("path", error.to_string()).into()),
    );
}

async fn refuse_long_path(
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let length = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    if length > MAX_PATH {
        let detail = format!("the path and query are longer than {MAX_PATH} characters");
        return Ok(request.into_response(Problem::invalid("path", detail).error_response()));
    }
    next.call(request).await
}

/// Without TLS it never ends.
async fn renew(certificate: Option<Arc<Certificate>>) {
    match certificate {
        Some(certificate) => certificate.renew().await,
        None => std::future::pending().await,
    }
}
