//! The metrics of this crate. `deploy/` charts them and `docs/alerts.md` explains them; a test compares the names.

service_runtime::metrics! {
    DECISIONS = "voltgate_decisions_total", Counter, ["status"],
        ["allowed", "not_allowed", "unknown", "invalid"],
        "Decisions made and recorded";
    DECISION = "voltgate_decision_seconds", Histogram, [], [],
        "Time from the client's call until the decision is recorded; AUTHORIZATION_TIMEOUT_SEC is its limit";
    ACL_REQUEST = "voltgate_acl_request_seconds", Histogram, ["result"], ["answered", "failed"],
        "How long acl-service took to answer a worker, or to fail";
    TASKS_IN_FLIGHT = "voltgate_tasks_in_flight", Gauge, [], [],
        "Tasks in flight in this worker";
    // The worker knows the reasons: worker/src/measurements.rs registers each of them.
    DEAD_LETTERS = "voltgate_dead_letters_total", Counter, ["reason"], [],
        "Dead-lettered tasks, by reason";
    PUBLISH = "voltgate_publish_seconds", Histogram, [], [],
        "Time from publishing a message to RabbitMQ's confirm";
    BROKER_CONNECTED = "voltgate_broker_connected", Gauge, ["role"], [],
        "1 while this process is connected to the broker";
    BROKER_RECONNECTS = "voltgate_broker_reconnects_total", Counter, ["role"], ["publish", "consume"],
        "Reconnections to the broker";
}
