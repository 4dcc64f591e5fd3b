//! A route by its name in metrics and traces, with its counters. Each thread of the server has its own, so a request
//! costs one look-up in a small map and no lock.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use crate::metrics;
use ::metrics::{Counter, Histogram, counter, histogram};
use actix_web::http::{Method, StatusCode};

/// The end of a path that may have a slash there or not. Its documented name has one.
pub const OPTIONAL_SLASH: &str = "{slash:/?}";

#[derive(Clone)]
pub(crate) struct Route(Rc<Counts>);

struct Counts {
    name: String,
    /// By method and status, of which there are few.
    answered: RefCell<HashMap<(&'static str, StatusCode), Answered>>,
}

struct Answered {
    requests: Counter,
    time: Histogram,
}

impl Route {
    /// The route of a pattern in the list of routes.
    pub(crate) fn of(pattern: &str) -> Self {
        Self(Rc::new(Counts { name: name(pattern), answered: RefCell::default() }))
    }

    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    /// Counts a response.
    pub(crate) fn count(
        &self,
        service: &'static str,
        method: &'static str,
        status: StatusCode,
        took: Duration,
    ) {
        let mut answered = self.0.answered.borrow_mut();
        let Answered { requests, time } = answered.entry((method, status)).or_insert_with(|| {
            let (route, status) = (self.0.name.clone(), status.as_str().to_owned());
            let time = histogram!(metrics::HTTP_REQUEST, "service" => service, "route" => route.clone());
            let labels = [("service", service.to_owned()), ("route", route), ("method", method.to_owned())];
            let labels: Vec<_> = labels.into_iter().chain([("status", status)]).collect();
            Answered { requests: counter!(metrics::HTTP_REQUESTS, &labels), time }
        });
        requests.increment(1);
        time.record(took.as_secs_f64());
    }
}

/// The name, without the patterns of its parameters.
pub(crate) fn name(pattern: &str) -> String {
    pattern.replace(":[^/]*}", "}").replace(OPTIONAL_SLASH, "/")
}

/// Clients may invent methods.
pub(crate) fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
