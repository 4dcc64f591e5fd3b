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
        "Always 1; the labels name the running version and the commit that it was built from";
    REQUESTS_ACCEPTED = "voltgate_requests_accepted_total", Counter, [], [],
        "Requests answered with 202, after the broker's confirm";
    REQUESTS_REFUSED = "voltgate_requests_refused_total", Counter, ["reason"],
        ["station_id", "driver_token", "callback_url", "request", "idempotency_key", "task_queue", "unconfirmed", "queue_too_old",
            "store"],
        "Authorize requests that were not accepted, by cause; with `unconfirmed` they may still be processed";
    DECISIONS = "voltgate_decisions_total", Counter, ["status"],
        ["allowed", "not_allowed", "unknown", "invalid"],
        "Decisions made and recorded";
    QUEUE_WAIT = "voltgate_queue_wait_seconds", Histogram, [], [],
        "Time from the client's call until a worker takes the request";
    DECISION = "voltgate_decision_seconds", Histogram, [], [],
        "Time from the client's call until the decision is recorded; AUTHORIZATION_TIMEOUT_SEC is its limit";
    ACL_REQUEST = "voltgate_acl_request_seconds", Histogram, ["result"], ["answered", "failed"],
        "How long acl-service took to answer a worker, or to fail";
    ACL_CHECKS = "voltgate_acl_checks_total", Counter, ["result"], ["allowed", "not_allowed"],
        "Drivers checked at acl-service, by result";
    CALLBACK = "voltgate_callback_seconds", Histogram, [], [],
        "Duration of one callback attempt, from the name look-up to the end of the response";
    CALLBACK_ATTEMPTS = "voltgate_callback_attempts_total", Counter, ["class"],
        ["2xx", "3xx", "4xx", "5xx", "timeout", "dns", "connect", "tls", "refused", "gone", "broken"],
        "Callback attempts, by outcome";
    CALLBACKS_PARKED = "voltgate_callbacks_parked_total", Counter, ["reason"], ["busy", "failing"],
        "Callbacks deferred at the broker without an attempt, because their host has too many in flight or is failing";
    DELIVERIES = "voltgate_deliveries_total", Counter, ["state"], ["delivered", "undeliverable"],
        "Finished deliveries, by final state";
    BREAKERS = "voltgate_breakers", Gauge, ["state"], ["open", "half_open"],
        "Callback origins that this worker considers failing; half open ones wait for a probe";
    TASKS_IN_FLIGHT = "voltgate_tasks_in_flight", Gauge, [], [],
        "Tasks in flight in this worker";
    // The worker knows the reasons: worker/src/measurements.rs registers each of them.
    DEAD_LETTERS = "voltgate_dead_letters_total", Counter, ["reason"], [],
        "Dead-lettered tasks, by reason";
    QUEUE_MESSAGES = "voltgate_queue_messages", Gauge, ["queue"], [],
        "Messages waiting in a queue, or among its dead letters";
    QUEUE_CONSUMERS = "voltgate_queue_consumers", Gauge, ["queue"], [],
        "Consumers of a queue, from all processes";
    QUEUE_AGE = "voltgate_queue_age_seconds", Gauge, [], [],
        "How long the oldest request accepted by this public-api has been waiting for a worker";
    BROKER_CONNECTED = "voltgate_broker_connected", Gauge, ["role"], [],
        "1 while this process is connected to the broker";
    BROKER_RECONNECTS = "voltgate_broker_reconnects_total", Counter, ["role"], ["publish", "consume"],
        "Reconnections to the broker";
    HTTP_REQUESTS = "voltgate_http_requests_total", Counter, ["service", "route", "method", "status"], [],
        "HTTP requests answered";
    HTTP_REQUEST = "voltgate_http_request_seconds", Histogram, ["service", "route"], [],
        "Time to answer an HTTP request";
}
