//! The rows of the settings table for public-api. To add a setting, add a row here and its name to
//! `service_runtime::settings::NAMES`, and read it in `config.rs`.

service_runtime::settings! {
    PUBLIC_API_PORT = "8080", "a port; 0 asks for any free one",
        "The port that public-api listens on";
    CHARGE_SERVICE_API = "false", "true or false",
        "Whether public-api also serves charge-service's endpoints, below /api/";
    AUTHORIZATION_TIMEOUT_SEC = "5", "seconds, more than 0, at most 3600",
        "Time from the client's call to the deadline; after it the decision is `unknown`";
}
