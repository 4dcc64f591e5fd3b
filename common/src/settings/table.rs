//! The rows. To add a setting: one row here, one line in the `config.rs` that reads it; the table of docs/configure.md follows.

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
        "The type of a queue that does not exist yet; an existing one is used as it is";
    PUBLISH_TIMEOUT_SEC = "1.5", "seconds, more than 0, at most 60",
        "How long a publish may wait for the broker's confirm";
    RECOVERY_TIMEOUT_SEC = "120", "seconds, more than 0, at most 86400",
        "How long a service tries to reach a lost broker again before it exits with code 69";
    REDIS_URL = "", "redis://[user:password@]host[:port][/database] or embedded:DIR",
        "Access lists and records; wins over REDIS_HOST and REDIS_PORT", url;
    REDIS_HOST = "127.0.0.1", "a host name or address",
        "Where Redis is, when REDIS_URL is not set", host;
    REDIS_PORT = "6379", "a port",
        "Where Redis is, when REDIS_URL is not set";
    REDIS_KEY_PREFIX = "", "a text without spaces, at most 64 characters",
        "Put before every key, so that two systems can share one Redis";
    LOG_RETENTION_DAYS = "30", "days, 1 to 3650",
        "How long a decision record is kept";
    PUBLIC_API_PORT = "8080", "a port; 0 asks for any free one",
        "Where public-api listens";
    BIND_ADDRESS = "127.0.0.1", "an IP address of this machine",
        "Where the services listen; whoever can reach another address than a loopback one needs a key";
    CHARGE_SERVICE_API = "false", "true or false",
        "Whether public-api serves charge-service's endpoints too, below /api/";
    AUTHORIZATION_SERVICE_URL = "http://127.0.0.1", "http://HOST or https://HOST; a port in it wins over AUTHORIZATION_SERVICE_PORT",
        "Where the worker, and public-api with CHARGE_SERVICE_API, find acl-service; https://localhost unless it is set and TLS_CERT_FILE is", url;
    AUTHORIZATION_SERVICE_PORT = "5000", "a port; acl-service takes 0 for any free one",
        "Where acl-service listens and the worker finds it";
    AUTHORIZATION_SERVICE_KEY = "", "vg_<id>_<secret>, the secret of 40 letters and digits at least; several with commas between them",
        "What the worker presents to acl-service (the last one), which admits it by the same setting (any of them)", secret;
    API_KEYS = "", "required, optional or off",
        "Whether callers need a key; unless it is set: optional where only this machine can call, otherwise required";
    API_KEY_BOOTSTRAP = "", "vg_<id>_<secret>, the secret of 40 letters and digits at least; several with commas between them",
        "Keys of scope admin that are in no store, to begin with", secret;
    VOLTGATE_KEY = "", "vg_<id>_<secret>",
        "What the commands of voltgate present to the services", secret;
    RATE_LIMIT_PER_SEC = "", "requests a second, 0 for no limit, at most 1000000",
        "How often one key may call; unless it is set: 1000 where keys are required, otherwise no limit";
    RATE_LIMIT_ADDRESS_PER_SEC = "", "requests a second, 0 for no limit, at most 1000000",
        "How often one address may call without a good key; unless it is set: 50 where keys are required, otherwise no limit";
    RATE_LIMIT_BURST_SEC = "2", "seconds, 1 to 3600",
        "For how many seconds' requests may come at once";
    TRUSTED_PROXIES = "", "networks such as 10.0.0.0/8,fd00::/8, with commas between them",
        "Proxies whose X-Forwarded-For or Forwarded is believed";
    TLS_CERT_FILE = "", "a PEM file with the certificate and its chain; TLS_KEY_FILE has to be set too",
        "Serves every listener over TLS; read anew when it changes";
    TLS_KEY_FILE = "", "a PEM file with the private key; TLS_CERT_FILE has to be set too",
        "The key of the certificate";
    TLS_CA_FILE = "", "a PEM file with certificates",
        "Further authorities that may have signed acl-service's certificate, and public-api's for the commands";
    AUTHORIZATION_TIMEOUT_SEC = "5", "seconds, more than 0, at most 3600",
        "From the client's call to the deadline; past it the decision is `unknown`";
    CALLBACK_TIMEOUT_SEC = "5", "seconds, more than 0, at most 300",
        "The limit of one callback attempt: name look-up, connection, TLS, answer and its body together";
    CALLBACK_WINDOW_SEC = "60", "seconds, more than 0, at most 86400",
        "From the decision to the end of callback attempts";
    CALLBACK_MAX_ATTEMPTS = "8", "attempts, 1 to 100",
        "How often a callback is tried at most";
    CALLBACK_ALLOWED_NETWORKS = "", "networks such as 10.0.0.0/8,fd00::/8, or localhost, with commas between them",
        "Private networks that may be called back all the same, and with them names that cannot be public; localhost admits this machine and no other name";
    CALLBACK_DENIED_NETWORKS = "", "networks such as 198.18.0.0/15, with commas between them",
        "Public networks that may not be called back; CALLBACK_ALLOWED_NETWORKS wins";
    CALLBACK_ALLOWED_PORTS = "80,443,1024-65535", "ports and ranges such as 443,8000-8999, with commas between them",
        "Ports that may be called back; unless it is set, any port of CALLBACK_ALLOWED_NETWORKS";
    WEBHOOK_SECRET = "", "whsec_ and the base64 of 24 to 64 bytes; several with commas between them",
        "Signs callbacks with HMAC-SHA256 (Standard Webhooks `v1`), with each of the secrets", secret;
    WEBHOOK_PRIVATE_KEY = "", "whsk_ and the base64 of an ed25519 seed, with or without its public key; several with commas between them",
        "Signs callbacks with ed25519 (`v1a`); public-api serves the public keys", secret;
    WORKER_CONCURRENCY = "200", "tasks, 1 to 10000",
        "How many tasks one worker has in hand at once; also its prefetch";
    WORKER_AUTOSCALE = "", "MAX,MIN tasks, each 1 to 10000, or nothing for WORKER_CONCURRENCY",
        "Lets the number of tasks in hand at once follow the work, between these bounds";
    WORKER_HOSTNAME = "", "NAME@HOST, with %h for this machine; no two workers of one broker may share it",
        "What Celery's tools and other workers call this worker; celery@%h unless it is set";
    WORKER_TASK_EVENTS = "false", "true or false",
        "Whether events of tasks are sent from the start; Celery's tools switch them on and off";
    WORKER_STATE_FILE = "", "a path, or nothing for memory only",
        "Where the worker keeps over a restart which tasks are revoked";
    WORKER_HEALTH_PORT = "", "a port, or nothing for no listener",
        "Where the worker answers /healthz and /readyz";
    SHUTDOWN_GRACE_SEC = "20", "seconds, more than 0, at most 3600",
        "How long SIGTERM lets the work in hand take; the rest is given back";
    STARTUP_TIMEOUT_SEC = "10", "seconds, more than 0, at most 3600",
        "How long a start may look for a dependency before it gives up with code 69";
    LOG_FORMAT = "text", "text or json",
        "How log lines look";
    LOG_LEVEL = "info", "a level (error, warn, info, debug, trace) or directives such as info,worker=debug",
        "What is logged";
    OTLP_ENDPOINT = "", "http://HOST:PORT or https://HOST:PORT of a collector, or nothing for no traces",
        "Where traces are sent, by OTLP over HTTP", url;
    OTLP_SAMPLE_RATIO = "1", "a number from 0 to 1",
        "Which part of the requests is traced, where the client's `traceparent` does not decide it";
}
