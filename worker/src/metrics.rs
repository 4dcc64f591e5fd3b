//! The metrics of this crate. `deploy/` charts them and `docs/alerts.md` explains them; a test compares the names.

service_runtime::metrics! {
    QUEUE_WAIT = "voltgate_queue_wait_seconds", Histogram, [], [],
        "Time from the client's call until a worker takes the request";
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
    MAILS = "voltgate_mails_total", Counter, ["kind", "state"], [],
        "Mails that ended, by kind: sent, failed because the server refuses them, or dropped because they could not be sent in time";
    MAIL_OLDEST = "voltgate_mail_oldest_seconds", Gauge, [], [],
        "Age of the oldest mail that is not sent yet; 0 if there is none";
}
