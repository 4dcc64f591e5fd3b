//! The server that every service runs in: bound first, so that the port is known, then served until it is told to stop.

use std::future::Future;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::time::Duration;

use actix_web::dev::Service;
use actix_web::web::{self, QueryConfig, ServiceConfig};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, Resource};
use common::exit::Failure;
use common::metrics::Exposition;
use tokio_util::sync::CancellationToken;

use crate::route::Route;
use crate::{Problem, observation};

/// Longer paths with their queries are refused, so that nothing downstream has to hold them.
const LONGEST_PATH: usize = 8192;

/// Longer than clients (reqwest: 90 s) and load balancers keep an idle connection, so that it is they who close it. A
/// request that is sent while the server closes the connection gets no answer (seen: one in 2,000 with 5 s).
const KEEP_ALIVE: Duration = Duration::from_secs(120);

/// A port that is bound and not yet served.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    exposition: Option<Exposition>,
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
        Ok(Self { listener, address, exposition: None })
    }

    /// With `GET /metrics`.
    #[must_use]
    pub fn with_metrics(self, exposition: Option<Exposition>) -> Self {
        Self { exposition, ..self }
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
        let (exposition, tidied) = (self.exposition.clone(), self.exposition);
        let server = HttpServer::new(move || {
            let other = Route::of("other");
            App::new()
                .wrap_fn(|request, next| {
                    let path_length = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
                    let answer = next.call(request);
                    async move {
                        if path_length > LONGEST_PATH { Err(path_too_long().into()) } else { answer.await }
                    }
                })
                .wrap_fn(move |request, next| observation::observe(service, &other, request, next))
                .app_data(
                    QueryConfig::default()
                        .error_handler(|error, _| Problem::invalid("query", error.to_string()).into()),
                )
                .configure(|config| observation::exposition(config, exposition.as_ref()))
                .configure(routes.clone())
                .default_service(web::to(no_such_path))
        })
        .disable_signals()
        .shutdown_timeout(grace.as_secs())
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(Duration::from_secs(10))
        .listen(self.listener)
        .map(HttpServer::run);
        async move {
            let broken = |error: std::io::Error| Failure::Broken(format!("the HTTP server broke: {error}"));
            let server = server.map_err(broken)?;
            let handle = server.handle();
            let stop = async {
                shutdown.cancelled().await;
                handle.stop(true).await;
            };
            let serve = async { tokio::join!(server, stop).0 };
            tokio::select! {
                served = serve => served.map_err(broken),
                () = observation::tidy(tidied.as_ref()) => Ok(()),
            }
        }
    }
}

/// A resource whose other methods are refused with a problem that names the allowed ones.
pub fn resource(path: &str, allow: &'static str) -> Resource {
    web::resource(path).app_data(Route::of(path)).default_service(web::to(
        move |request: HttpRequest| async move {
            Err::<HttpResponse, _>(Problem::method_not_allowed(request.method().as_str(), allow))
        },
    ))
}

/// `GET /healthz`: the process is alive.
pub fn healthz(config: &mut ServiceConfig) {
    config
        .service(resource("/healthz", "GET, HEAD").route(web::get().to(alive)).route(web::head().to(alive)));
}

/// The answer of `/healthz` and `/readyz`.
#[derive(Debug, serde::Serialize)]
pub struct Status {
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

fn path_too_long() -> Problem {
    Problem::invalid("path", format!("the path and query are longer than {LONGEST_PATH} characters"))
}

async fn alive() -> HttpResponse {
    HttpResponse::Ok().json(Status::ALIVE)
}
