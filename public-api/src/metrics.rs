//! The metrics of this crate. `deploy/` charts them and `docs/alerts.md` explains them; a test compares the names.

service_runtime::metrics! {
    REQUESTS_ACCEPTED = "voltgate_requests_accepted_total", Counter, [], [],
        "Requests answered with 202, after the broker's confirm";
    REQUESTS_REFUSED = "voltgate_requests_refused_total", Counter, ["reason"],
        ["station_id", "driver_token", "callback_url", "request", "idempotency_key", "task_queue", "unconfirmed", "queue_too_old",
            "store"],
        "Authorize requests that were not accepted, by cause; with `unconfirmed` they may still be processed";
    QUEUE_MESSAGES = "voltgate_queue_messages", Gauge, ["queue"], [],
        "Messages waiting in a queue, or among its dead letters";
    QUEUE_CONSUMERS = "voltgate_queue_consumers", Gauge, ["queue"], [],
        "Consumers of a queue, from all processes";
    QUEUE_AGE = "voltgate_queue_age_seconds", Gauge, [], [],
        "How long the oldest request accepted by this public-api has been waiting for a worker";
}
