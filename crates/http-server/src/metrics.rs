//! The metrics of this crate. `deploy/` charts them and `docs/alerts.md` explains them; a test compares the names.

service_runtime::metrics! {
    HTTP_REQUESTS = "voltgate_http_requests_total", Counter, ["service", "route", "method", "status"], [],
        "HTTP requests answered";
    HTTP_REQUEST = "voltgate_http_request_seconds", Histogram, ["service", "route"], [],
        "Time to answer an HTTP request";
}
