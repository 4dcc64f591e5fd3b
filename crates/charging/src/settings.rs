//! The rows of the settings table for the database. To add a setting, add a row here and its name to
//! `service_runtime::settings::NAMES`, and read it in `config.rs`.

service_runtime::settings! {
    DATABASE_URL = "", "postgres://[user:password@]host[:port]/database or embedded:DIR",
        "The database of the platform. platform-api needs it, a worker without it runs the authorization tasks only, and `voltgate up` uses `platform.db` in its data directory", url;
    DATABASE_CONNECTIONS = "10", "2 to 1000",
        "The maximum number of connections that one process opens to PostgreSQL";
    EVENTS_RETENTION_HOURS = "48", "hours, 1 to 8760",
        "How long the platform's events are stored, for streams that resume and for readers that were away";
    OCPP_MESSAGES_DAYS = "7", "days, 0 to 90; 0 keeps none",
        "How long the messages of chargers are stored";
    PUBLIC_URL = "http://127.0.0.1:8000", "http://HOST or https://HOST, with a port or a path where it has one",
        "Where people reach the platform: the links in mails begin with it";
}
