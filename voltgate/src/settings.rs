//! The rows of the settings table for the command. To add a setting, add a row here and its name to
//! `service_runtime::settings::NAMES`, and read it in `config.rs`.

service_runtime::settings! {
    VOLTGATE_KEY = "", "vg_<id>_<secret>",
        "The key that voltgate's commands present to the services", secret;
}
