//! The server that every service runs in: bound first, so that the port is known, then served until it is told to stop.
//! What it does with every request, from the outside in: it is counted and traced, security headers, the length of the path,
//! the resource's gate, the time limit, the handler.

use std::future::Future;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, Data, PathConfig, QueryConfig, ServiceConfig};
use actix_web::{App, Error, HttpRequest, HttpResponse, HttpServer, ResponseError};
use common::exit::Failure;
use common::metrics::Exposition;
use store::Keys;
use tokio_util::sync::CancellationToken;
use utoipa::openapi::OpenApi;

use crate::config::{KeyMode, ServerConfig};
use crate::gate::Gate;
pub use crate::resource::{Resource, resource, slow_resource};
use crate::route::Route;
use crate::tls::Certificate;
use crate::{Access, Problem, observation, openapi, security_headers};

/// Longer paths with their queries are refused, so that nothing downstream has to hold them.
const LONGEST_PATH: usize = 8192;

/// Longer than clients (reqwest: 90 s) and load balancers keep an idle connection, so that it is they who close it. A
/// request that is sent while the server closes the connection gets no answer (seen: one in 2,000 with 5 s).
const KEEP_ALIVE: Duration = Duration::from_secs(120);

/// The whole head of a request has to come within this.
const HEAD_LIMIT: Duration = Duration::from_secs(10);

/// A port that is bound and not yet served.
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    gate: Data<Gate>,
    certificate: Option<Arc<Certificate>>,
    exposition: Option<Exposition>,
    document: Option<Data<openapi::Text>>,
}

impl Bound {
    /// Binds.
    ///
    /// # Errors
    /// The port is taken, or the address is not this machine's.
    pub fn to(address: IpAddr, port: u16) -> Result<Self, Failure> {
        let wanted = SocketAddr::new(address, port);
        let taken = |error: std::io::Error| Failure::Broken(format!("cannot listen on {wanted}: {error}"));
        let listener = TcpListener::bind(wanted).map_err(taken)?;
        let address = listener.local_addr().map_err(taken)?;
        let gate = Data::new(Gate::open());
        Ok(Self { listener, address, gate, certificate: None, exposition: None, document: None })
    }

    /// The same with a gate before it, and TLS where the settings name files. Without it everybody is let in.
    #[must_use]
    pub fn guarded(self, config: &ServerConfig, keys: Arc<dyn Keys>) -> Self {
        if config.mode != KeyMode::Required && !self.address.ip().is_loopback() {
            let address = self.address;
            tracing::warn!(%address, "no key is needed here, and other machines reach it (API_KEYS)");
        }
        Self { gate: Data::new(Gate::new(config, keys)), certificate: config.tls.clone(), ..self }
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.certificate.is_some() { "https" } else { "http" }
    }

    /// With `GET /metrics`.
    #[must_use]
    pub fn with_metrics(self, exposition: Option<Exposition>) -> Self {
        Self { exposition, ..self }
    }

    /// With `GET /openapi.json`, and `GET /docs`, the page that shows it.
    #[must_use]
    pub fn documented(self, document: &OpenApi) -> Self {
        Self { document: Some(Data::new(document.into())), ..self }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves `routes` as the service of this name until `shutdown`, then lets what is in hand finish within `grace`.
    ///
    /// # Errors
    /// The server could not be started, or broke.
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
        let tls = self.certificate.is_some();
        let (gate, certificate) = (self.gate, self.certificate);
        let (exposition, tidied) = (self.exposition.clone(), self.exposition);
        let document = self.document;
        let server = HttpServer::new(move || {
            let other = Route::of("other");
            App::new()
                .app_data(gate.clone())
                .wrap(from_fn(refuse_long_path))
                .wrap(from_fn(move |request: ServiceRequest, next: Next<BoxBody>| {
                    security_headers::add(tls, request, next)
                }))
                .wrap_fn(move |request, next| observation::observe(service, &other, request, next))
                .configure(name_the_culprit)
                .configure(|config| observation::exposition(config, exposition.as_ref()))
                .configure(|config| openapi::publish(config, document.as_ref()))
                .configure(routes.clone())
                .default_service(web::to(no_such_path))
        })
        .disable_signals()
        .shutdown_timeout(grace.as_secs())
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(HEAD_LIMIT);
        let listener = self.listener;
        let tls = certificate.clone().map(|certificate| certificate.server_config()).transpose();
        let server = tls.and_then(|tls| {
            let listening = match tls {
                Some(tls) => server.listen_rustls_0_23(listener, tls),
                None => server.listen(listener),
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
                () = renew(certificate) => Ok(()),
                () = observation::tidy(tidied.as_ref()) => Ok(()),
            }
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn broken(error: std::io::Error) -> Failure {
    Failure::Broken(format!("the HTTP server broke: {error}"))
}

/// `GET /healthz`: the process is alive.
pub fn healthz() -> Resource {
    resource("/healthz", &[("GET, HEAD", Access::Open)])
        .route(web::get().to(alive))
        .route(web::head().to(alive))
}

/// How the service is
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Status {
    /// `alive` or `ready`
    status: &'static str,
}

impl Status {
    /// The process is alive.
    pub const ALIVE: Self = Self { status: "alive" };
    /// It can do its work.
    pub const READY: Self = Self { status: "ready" };
}

async fn no_such_path(request: HttpRequest) -> Result<HttpResponse, Problem> {
    Err(Problem::not_found("path", format!("there is no {}", request.path())))
}

/// What actix refuses before a handler runs is told as every refusal is.
fn name_the_culprit(config: &mut ServiceConfig) {
    config.app_data(
        PathConfig::default().error_handler(|error, _| Problem::invalid("path", error.to_string()).into()),
    );
    config.app_data(
        QueryConfig::default().error_handler(|error, _| Problem::invalid("query", error.to_string()).into()),
    );
}

async fn refuse_long_path(
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let length = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    if length > LONGEST_PATH {
        let detail = format!("the path and query are longer than {LONGEST_PATH} characters");
        return Ok(request.into_response(Problem::invalid("path", detail).error_response()));
    }
    next.call(request).await
}

/// Never ends without TLS.
async fn renew(certificate: Option<Arc<Certificate>>) {
    match certificate {
        Some(certificate) => certificate.renew().await,
        None => std::future::pending().await,
    }
}

/// Whether the process is alive
#[utoipa::path(get, path = "/healthz", operation_id = "healthz", tag = "service",
    responses((status = 200, description = "It is", body = Status)))]
pub(crate) async fn alive() -> HttpResponse {
    HttpResponse::Ok().json(Status::ALIVE)
}
