//! The rows of the settings table for platform-api. To add a setting, add a row here and its name to
//! `service_runtime::settings::NAMES`, and read it in `config.rs`.

service_runtime::settings! {
    PLATFORM_API_PORT = "8000", "a port; 0 asks for any free one",
        "The port of platform-api";
    LIVE_STREAMS = "2000", "1 to 100000",
        "The maximum number of live streams of one process";
    JWT_KEY_FILE = "", "a file",
        "Ed25519 keys in PEM that sign access tokens, the same for all replicas: the first signs, and all verify. Without it the database keeps a key";
    ACCESS_TOKEN_SEC = "600", "seconds, 1 to 86400",
        "How long an access token is valid";
    REFRESH_GRACE_SEC = "20", "seconds, 0 to 3600",
        "How long a refresh token that was used returns the same successor again";
    AUTH_RATE_PER_MIN = "60", "0 to 1000000; 0 for no limit",
        "How often one address may sign in, register and ask for codes in a minute. Beyond the same rate, attempts on one name are slowed down, and never locked out";
    TERMS_VERSION = "", "1 to 64 visible characters of ASCII",
        "The version of the terms of use, which who registers must accept by `terms_version`; not required unless set";
    PLATFORM_ADMIN_USERNAME = "", "3 to 64 characters",
        "The name of the first administrator, who is created at start if there is none";
    PLATFORM_ADMIN_PASSWORD = "", "8 to 256 characters",
        "The password of the first administrator", secret;
}
