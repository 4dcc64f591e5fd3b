//! The rows of the settings table for the store. To add a setting, add a row here and its name to
//! `service_runtime::settings::NAMES`, and read it in `config.rs`.

service_runtime::settings! {
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
}
