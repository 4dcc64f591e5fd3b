//! A resource: its path, the access that each of its methods requires, and their handlers. A service registers a list
//! of these, and its document is checked against the list.

use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::dev::{AppService, HttpServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::{Next, from_fn};
use actix_web::{Error, HttpRequest, HttpResponse, web};

use crate::route::{self, Route};
use crate::{Access, Problem, gate, query};

/// From the head of a request to the head of its response. Longer than any handler waits (a body: 10 s).
const HANDLER_LIMIT: Duration = Duration::from_secs(30);

/// One path of a service, which [`actix_web::web::ServiceConfig::service`] takes.
pub struct Resource {
    path: String,
    methods: &'static [(&'static str, Access)],
    limit: Duration,
    without_query: bool,
    handlers: actix_web::Resource,
}

/// A resource, with the access that each of its methods requires: `&[("GET, HEAD", Access::READ), ("PUT",
/// Access::CHANGE_ACL)]`. Other methods are rejected with a problem that lists these.
pub fn resource(path: &str, methods: &'static [(&'static str, Access)]) -> Resource {
    slow_resource(path, methods, HANDLER_LIMIT)
}

/// The same for a handler that may take longer to respond, such as one that reads a long body.
pub fn slow_resource(path: &str, methods: &'static [(&'static str, Access)], limit: Duration) -> Resource {
    Resource { path: path.to_owned(), methods, limit, without_query: false, handlers: web::resource(path) }
}

impl Resource {
    /// Adds a handler for one of its methods.
    #[must_use]
    pub fn route(self, route: actix_web::Route) -> Self {
        Self { handlers: self.handlers.route(route), ..self }
    }

    /// Rejects a query string for every method but `GET`: a change requested there would be ignored, yet the response
    /// would report success.
    #[must_use]
    pub fn without_query(self) -> Self {
        Self { without_query: true, ..self }
    }

    /// The name in metrics and in the document, without the patterns of its parameters.
    pub(crate) fn name(&self) -> String {
        route::name(&self.path)
    }

    /// Each of its methods, and the access that it requires.
    pub(crate) fn methods(&self) -> impl Iterator<Item = (&'static str, Access)> + use<> {
        self.methods.iter().flat_map(|(names, access)| names.split(", ").map(|name| (name, *access)))
    }
}

impl HttpServiceFactory for Resource {
    fn register(self, config: &mut AppService) {
        let Self { path, methods, limit, without_query, handlers } = self;
        handlers
            .app_data(Route::of(&path))
            .default_service(web::to(move |request: HttpRequest| async move {
                let allow = Access::allow(methods);
                Err::<HttpResponse, _>(Problem::method_not_allowed(request.method().as_str(), &allow))
            }))
            // The last one added is the outermost.
            .wrap(from_fn(move |request: ServiceRequest, next: Next<BoxBody>| async move {
                // A method that is not allowed is refused for that.
                let known = Access::of(methods, request.method()).is_some();
                if without_query && known && request.method() != Method::GET {
                    query::none(request.request())?;
                }
                next.call(request).await
            }))
            .wrap(from_fn(move |request: ServiceRequest, next: Next<BoxBody>| within(limit, request, next)))
            .wrap(from_fn(move |request: ServiceRequest, next: Next<BoxBody>| {
                gate::guard(methods, request, next)
            }))
            .register(config);
    }
}

async fn within(
    limit: Duration,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let answered = tokio::time::timeout(limit, next.call(request)).await;
    answered.unwrap_or_else(|_| {
        let seconds = limit.as_secs();
        let detail = format!("the request timed out after {seconds} s and may still have taken effect");
        Err(Problem::unavailable("server", detail, Duration::from_secs(1)).into())
    })
}
