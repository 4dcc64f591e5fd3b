//! The rows. To add a setting, add a row here and a line in the `config.rs` that reads it; the table in
//! docs/configure.md is generated.

use super::{Setting, Shown};

macro_rules! settings {
    ($($name:ident = $default:literal, $expected:literal, $about:literal $(, $shown:ident)?;)*) => {
        $(
            #[doc = $about]
            pub const $name: Setting = Setting {
                name: stringify!($name),
                default: $default,
                expected: $expected,
                about: $about,
                shown: settings!(@ $($shown)?),
            };
        )*
        /// Every setting, in the order of the documentation.
        pub const ALL: &[Setting] = &[$($name),*];
    };
    (@) => { Shown::Plain };
    (@ url) => { Shown::Url };
    (@ host) => { Shown::Host };
    (@ secret) => { Shown::Secret };
}

settings! {
    BROKER_URL = "amqp://guest:guest@127.0.0.1:5672/%2f", "amqp://…, amqps://… or embedded:DIR",
        "The broker that holds the tasks", url;
    BROKER_MANAGEMENT_URL = "", "http://USER:PASSWORD@HOST:PORT or https://… of RabbitMQ's management API, or nothing",
        "Lets `voltgate doctor` see the policies and bindings of the delay queues, which AMQP does not show", url;
    TASK_QUEUE = "celery", "a queue name of 1 to 150 characters of A-Z a-z 0-9 - . _",
        "The queue that tasks are published to and taken from";
    TASK_QUEUE_TYPE = "quorum", "quorum or classic",
        "The type of queue to create; an existing queue is used as it is";
    PUBLISH_TIMEOUT_SEC = "1.5", "seconds, more than 0, at most 60",
        "How long a publish may wait for the broker's confirm";
    RECOVERY_TIMEOUT_SEC = "120", "seconds, more than 0, at most 86400",
        "How long a service tries to reconnect to the broker before it exits with code 69";
    REDIS_URL = "", "redis://[user:password@]host[:port][/database] or embedded:DIR",
        "The store of access lists and records; takes precedence over REDIS_HOST and REDIS_PORT", url;
    REDIS_HOST = "127.0.0.1", "a host name or address",
        "Redis' host, if REDIS_URL is not set", host;
    REDIS_PORT = "6379", "a port",
        "Redis' port, if REDIS_URL is not set";
    REDIS_KEY_PREFIX = "", "a text without spaces, at most 64 characters",
        "A prefix of every key, so that two systems can share one Redis";
    LOG_RETENTION_DAYS = "30", "days, 1 to 3650",
        "How long a decision record is kept";
    PUBLIC_API_PORT = "8080", "a port; 0 asks for any free one",
        "The port that public-api listens on";
    BIND_ADDRESS = "127.0.0.1", "an IP address of this machine",
        "The address that the services listen on; by default callers need a key unless it is a loopback address";
    CHARGE_SERVICE_API = "false", "true or false",
        "Whether public-api also serves charge-service's endpoints, below /api/";
    AUTHORIZATION_SERVICE_URL = "http://127.0.0.1", "http://HOST or https://HOST; a port in it takes precedence over AUTHORIZATION_SERVICE_PORT",
        "acl-service's URL for the worker, and for public-api with CHARGE_SERVICE_API; by default https://localhost if TLS_CERT_FILE is set", url;
    AUTHORIZATION_SERVICE_PORT = "5000", "a port; acl-service takes 0 for any free one",
        "The port that acl-service listens on, and that the worker calls";
    AUTHORIZATION_SERVICE_KEY = "", "vg_<id>_<secret>, with a secret of at least 40 letters and digits; several separated by commas",
        "The key that the worker presents to acl-service (the last one); acl-service, with the same setting, accepts any of them", secret;
    API_KEYS = "", "required, optional or off",
        "Whether callers need a key; by default optional if only this machine can call, otherwise required";
    API_KEY_BOOTSTRAP = "", "vg_<id>_<secret>, with a secret of at least 40 letters and digits; several separated by commas",
        "Keys with scope admin that are in no store, for bootstrapping", secret;
    VOLTGATE_KEY = "", "vg_<id>_<secret>",
        "The key that voltgate's commands present to the services", secret;
    RATE_LIMIT_PER_SEC = "", "requests a second, 0 for no limit, at most 1000000",
        "The rate limit of one key; by default 1000 if keys are required, otherwise no limit";
    RATE_LIMIT_ADDRESS_PER_SEC = "", "requests a second, 0 for no limit, at most 1000000",
        "The rate limit of one address without a valid key; by default 50 if keys are required, otherwise no limit";
    RATE_LIMIT_BURST_SEC = "2", "seconds, 1 to 3600",
        "The burst size: the requests of this many seconds may come at once";
    TRUSTED_PROXIES = "", "networks such as 10.0.0.0/8,fd00::/8, separated by commas",
        "Proxies whose X-Forwarded-For or Forwarded is trusted";
    TLS_CERT_FILE = "", "a PEM file with the certificate and its chain; requires TLS_KEY_FILE",
        "Serves every listener over TLS; reloaded when it changes";
    TLS_KEY_FILE = "", "a PEM file with the private key; requires TLS_CERT_FILE",
        "The certificate's private key";
    TLS_CA_FILE = "", "a PEM file with certificates",
        "Additional certificate authorities to trust for acl-service, and in the commands for public-api";
    AUTHORIZATION_TIMEOUT_SEC = "5", "seconds, more than 0, at most 3600",
        "Time from the client's call to the deadline; after it the decision is `unknown`";
    CALLBACK_TIMEOUT_SEC = "5", "seconds, more than 0, at most 300",
        "The time limit of one callback attempt: name look-up, connection, TLS, response and its body together";
    CALLBACK_WINDOW_SEC = "60", "seconds, more than 0, at most 86400",
        "Time from the decision to the end of callback attempts";
    CALLBACK_MAX_ATTEMPTS = "8", "attempts, 1 to 100",
        "The maximum number of callback attempts";
    CALLBACK_ALLOWED_NETWORKS = "", "networks such as 10.0.0.0/8,fd00::/8, or localhost, separated by commas",
        "Private networks that may be called back nevertheless, including host names that cannot be public; localhost admits this machine and no other name";
    CALLBACK_DENIED_NETWORKS = "", "networks such as 198.18.0.0/15, separated by commas",
        "Public networks that may not be called back; CALLBACK_ALLOWED_NETWORKS takes precedence";
    CALLBACK_ALLOWED_PORTS = "80,443,1024-65535", "ports and ranges such as 443,8000-8999, separated by commas",
        "Ports that may be called back; by default also every port in CALLBACK_ALLOWED_NETWORKS";
    WEBHOOK_SECRET = "", "whsec_ and the base64 of 24 to 64 bytes; several separated by commas",
        "Signs callbacks with HMAC-SHA256 (Standard Webhooks `v1`), once with each secret", secret;
    WEBHOOK_PRIVATE_KEY = "", "whsk_ and the base64 of an ed25519 seed, with or without its public key; several separated by commas",
        "Signs callbacks with ed25519 (`v1a`); public-api serves the public keys", secret;
    WORKER_CONCURRENCY = "200", "tasks, 1 to 10000",
        "The maximum number of tasks in flight in one worker; also its prefetch";
    WORKER_AUTOSCALE = "", "MAX,MIN tasks, each 1 to 10000, or nothing for WORKER_CONCURRENCY",
        "Adjusts the number of tasks in flight to the load, between these bounds";
    WORKER_HOSTNAME = "", "NAME@HOST, with %h for this machine; no two workers of one broker may share it",
        "The worker's name for Celery's tools and other workers; by default celery@%h";
    WORKER_TASK_EVENTS = "false", "true or false",
        "Whether task events are sent from the start; Celery's tools switch them on and off";
    WORKER_STATE_FILE = "", "a path, or nothing for memory only",
        "The file in which the worker keeps the revoked tasks across a restart";
    WORKER_HEALTH_PORT = "", "a port, or nothing for no listener",
        "The port on which the worker serves /healthz and /readyz";
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
