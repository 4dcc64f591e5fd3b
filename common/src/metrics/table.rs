//! The rows. `deploy/` charts them and `docs/alerts.md` explains them; a test compares the names.

use super::{Kind, Metric};

macro_rules! metrics {
    ($($id:ident = $name:literal, $kind:ident, [$($label:literal),*], [$($known:literal),*], $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $id: &str = $name;
        )*
        /// Every metric.
        pub const ALL: &[Metric] = &[$(Metric {
            name: $name, kind: Kind::$kind, labels: &[$($label),*], known: &[$($known),*], help: $help,
        }),*];
    };
}

metrics! {
    BUILD_INFO = "voltgate_build_info", Gauge, ["version", "commit"], [],
        "1, with the version that runs and the commit that it was built from";
    REQUESTS_ACCEPTED = "voltgate_requests_accepted_total", Counter, [], [],
        "Requests that were answered 202, the broker having confirmed them";
    REQUESTS_REFUSED = "voltgate_requests_refused_total", Counter, ["reason"],
        ["station_id", "driver_token", "callback_url", "request", "idempotency_key", "task_queue", "unconfirmed", "queue_too_old",
            "store"],
        "Requests to authorize that were not accepted, by what was wrong; with `unconfirmed` they may be processed all the same";
    DECISIONS = "voltgate_decisions_total", Counter, ["status"],
        ["allowed", "not_allowed", "unknown", "invalid"],
        "Decisions that were made and recorded";
    QUEUE_WAIT = "voltgate_queue_wait_seconds", Histogram, [], [],
        "From the client's call to the moment a worker has its request in hand";
    DECISION = "voltgate_decision_seconds", Histogram, [], [],
        "From the client's call to the decision on record; AUTHORIZATION_TIMEOUT_SEC is its limit";
    ACL_REQUEST = "voltgate_acl_request_seconds", Histogram, ["result"], ["answered", "failed"],
        "How long acl-service took to answer a worker, or to fail";
    ACL_CHECKS = "voltgate_acl_checks_total", Counter, ["result"], ["allowed", "not_allowed"],
        "Drivers that acl-service was asked about";
    CALLBACK = "voltgate_callback_seconds", Histogram, [], [],
        "How long one callback attempt took, from the name look-up to the end of the answer";
    CALLBACK_ATTEMPTS = "voltgate_callback_attempts_total", Counter, ["class"],
        ["2xx", "3xx", "4xx", "5xx", "timeout", "dns", "connect", "tls", "refused", "gone", "broken"],
        "Callback attempts by what came of them";
    CALLBACKS_PARKED = "voltgate_callbacks_parked_total", Counter, ["reason"], ["busy", "failing"],
        "Callbacks that went back to the broker untried, because their host has too much under way or is failing";
    DELIVERIES = "voltgate_deliveries_total", Counter, ["state"], ["delivered", "undeliverable"],
        "Decisions of which the client was told, or will not be";
    BREAKERS = "voltgate_breakers", Gauge, ["state"], ["open", "half_open"],
        "Origins that this worker knows to be failing; half open ones wait for a probe";
    TASKS_IN_FLIGHT = "voltgate_tasks_in_flight", Gauge, [], [],
        "Tasks that this worker has in hand";
    // The worker knows the reasons: worker/src/measurements.rs begins with each of them.
    DEAD_LETTERS = "voltgate_dead_letters_total", Counter, ["reason"], [],
        "Tasks that were buried, by their reason";
    QUEUE_MESSAGES = "voltgate_queue_messages", Gauge, ["queue"], [],
        "Messages that wait in a queue, or lie among its dead letters";
    QUEUE_CONSUMERS = "voltgate_queue_consumers", Gauge, ["queue"], [],
        "Consumers of a queue, whosever they are";
    QUEUE_AGE = "voltgate_queue_age_seconds", Gauge, [], [],
        "How long the oldest request of this public-api has been waiting for a worker";
    BROKER_CONNECTED = "voltgate_broker_connected", Gauge, ["role"], [],
        "1 while this process has its connection to the broker";
    BROKER_RECONNECTS = "voltgate_broker_reconnects_total", Counter, ["role"], ["publish", "consume"],
        "How often a connection to the broker was made anew";
    HTTP_REQUESTS = "voltgate_http_requests_total", Counter, ["service", "route", "method", "status"], [],
        "Answered HTTP requests";
    HTTP_REQUEST = "voltgate_http_request_seconds", Histogram, ["service", "route"], [],
        "How long an HTTP request took to be answered";
}
