//! Observation of requests: their count and duration by route, the span of their log lines and traces, and the text
//! that Prometheus scrapes.

use std::future::Future;
use std::time::Instant;

use actix_web::dev::{Service, ServiceRequest, ServiceResponse};
use actix_web::web::{Data, ServiceConfig, get, head};
use actix_web::{Error, HttpMessage, HttpRequest, HttpResponse};
use common::ids::RequestId;
use service_runtime::metrics::Exposition;
use service_runtime::trace_context::{REQUEST_ID, TraceContext};
use tracing::field::Empty;
use tracing::{Instrument, Span, error_span};

use crate::Access;
use crate::resource::{Resource, resource};
use crate::route::{Route, known};

/// Paths that machines poll every few seconds are counted and not traced.
const UNTRACED: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// The request's trace context, which the work that follows from it continues.
pub fn trace_of(request: &HttpRequest) -> TraceContext {
    request.extensions().get::<TraceContext>().cloned().unwrap_or_else(|| TraceContext::received(|_| None))
}

/// Adds the request's id to every later log line about it. Call it once, when the id is known.
pub fn name_request(id: RequestId) {
    Span::current().record("request_id", tracing::field::display(id));
}

/// Handles a request of `service` and records its outcome; under `other` if no route matches.
pub(crate) fn observe<S, B>(
    service: &'static str,
    other: &Route,
    request: ServiceRequest,
    next: &S,
) -> impl Future<Output = Result<ServiceResponse<B>, Error>> + use<S, B>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    let began = Instant::now();
    let method = known(request.method());
    let traced = !UNTRACED.contains(&request.path());
    // Its level is `error`, so that LOG_LEVEL never removes the request's id from a logged line.
    let span = match traced {
        true => error_span!("request", otel.kind = "server", request_id = Empty, trace_id = Empty),
        false => Span::none(),
    };
    let trace = traced.then(|| join(&request, &span));
    let answer = span.in_scope(|| next.call(request)).instrument(span.clone());
    let other = other.clone();
    async move {
        let answer = answer.await;
        let (route, status) = match &answer {
            Ok(response) => (response.request().app_data::<Route>(), response.status()),
            Err(error) => (None, error.as_response_error().status_code()),
        };
        let route = route.unwrap_or(&other);
        if let Some(trace) = trace {
            trace.annotate(&span, || {
                let status = ("http.response.status_code", status.as_str().to_owned());
                [("http.request.method", method.to_owned()), ("http.route", route.name().to_owned()), status]
            });
        }
        route.count(service, method, status, began.elapsed());
        answer
    }
}

/// Joins the request's span to its caller's trace.
fn join(request: &ServiceRequest, span: &Span) -> TraceContext {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    if let Some(id) = header(REQUEST_ID).and_then(|text| text.parse::<RequestId>().ok()) {
        span.record("request_id", tracing::field::display(id));
    }
    let trace = TraceContext::received(header).joined_by(span);
    request.extensions_mut().insert(trace.clone());
    trace
}

/// Adds `GET /metrics` if metrics are enabled.
pub(crate) fn exposition(config: &mut ServiceConfig, exposition: Option<&Exposition>) {
    if let Some(exposition) = exposition {
        config.app_data(Data::new(exposition.clone())).service(metrics());
    }
}

pub(crate) fn metrics() -> Resource {
    resource("/metrics", &[("GET, HEAD", Access::Open)]).route(get().to(scrape)).route(head().to(scrape))
}

/// Metrics for Prometheus
#[utoipa::path(get, path = "/metrics", operation_id = "metrics", tag = "service",
    responses((status = 200, description = "Prometheus' text format", body = String)))]
pub(crate) async fn scrape(exposition: Data<Exposition>) -> HttpResponse {
    HttpResponse::Ok().content_type(service_runtime::metrics::CONTENT_TYPE).body(exposition.text())
}

/// Moves recorded measurements into their buckets periodically, until dropped.
pub(crate) async fn tidy(exposition: Option<&Exposition>) {
    let Some(exposition) = exposition else { return std::future::pending().await };
    loop {
        tokio::time::sleep(service_runtime::metrics::TIDY_EVERY).await;
        exposition.tidy();
    }
}
