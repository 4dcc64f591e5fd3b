//! The rows of the settings table for platform-api. To add a setting, add a row here and its name to
//! `service_runtime::settings::NAMES`, and read it in `config.rs`.

service_runtime::settings! {
    PLATFORM_API_PORT = "8000", "a port; 0 asks for any free one",
        "The port of platform-api";
    LIVE_STREAMS = "2000", "1 to 100000",
        "The maximum number of live streams of one process";
}
