//! The settings of every process and of the calls between services.

crate::settings! {
    AUTHORIZATION_SERVICE_URL = "http://127.0.0.1", "http://HOST or https://HOST; a port in it takes precedence over AUTHORIZATION_SERVICE_PORT",
        "acl-service's URL for the worker and platform-api, and for public-api with CHARGE_SERVICE_API; by default https://localhost if TLS_CERT_FILE is set", url;
    AUTHORIZATION_SERVICE_PORT = "5000", "a port; acl-service takes 0 for any free one",
        "The port that acl-service listens on, and that the worker and platform-api call";
    AUTHORIZATION_SERVICE_KEY = "", "vg_<id>_<secret>, with a secret of at least 40 letters and digits; several separated by commas",
        "The key that the worker presents to acl-service (the last one); acl-service, with the same setting, accepts any of them", secret;
    PLATFORM_ACL_KEY = "", "vg_<id>_<secret>, with a secret of at least 40 letters and digits; several separated by commas",
        "The key that platform-api presents to acl-service to change access (the last one); acl-service, with the same setting, accepts any of them", secret;
    TLS_CERT_FILE = "", "a PEM file with the certificate and its chain; requires TLS_KEY_FILE",
        "Serves every listener over TLS; reloaded when it changes";
    TLS_KEY_FILE = "", "a PEM file with the private key; requires TLS_CERT_FILE",
        "The certificate's private key";
    TLS_CA_FILE = "", "a PEM file with certificates",
        "Additional certificate authorities to trust for acl-service and the mail server, and in the commands for public-api";
    SHUTDOWN_GRACE_SEC = "20", "seconds, more than 0, at most 3600",
        "How long work in flight may take after SIGTERM; the rest is requeued";
    STARTUP_TIMEOUT_SEC = "10", "seconds, more than 0, at most 3600",
        "How long a start may wait for a dependency before it exits with code 69";
    LOG_FORMAT = "text", "text or json",
        "The format of log lines";
    LOG_LEVEL = "info", "a level (error, warn, info, debug, trace) or directives such as info,worker=debug",
        "What is logged";
    OTLP_ENDPOINT = "", "http://HOST:PORT or https://HOST:PORT of a collector, or nothing for no traces",
        "Where traces are sent, by OTLP over HTTP", url;
    OTLP_SAMPLE_RATIO = "1", "a number from 0 to 1",
        "The fraction of requests that is traced, unless the client's `traceparent` decides it";
}
