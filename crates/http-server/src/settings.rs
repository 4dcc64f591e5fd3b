//! The rows of the settings table for every listener. To add a setting, add a row here and its name to
//! `service_runtime::settings::NAMES`, and read it in `config.rs`.

service_runtime::settings! {
    BIND_ADDRESS = "127.0.0.1", "an IP address of this machine",
        "The address that the services listen on; by default callers need a key unless it is a loopback address";
    API_KEYS = "", "required, optional or off",
        "Whether callers need a key; by default optional if only this machine can call, otherwise required";
    API_KEY_BOOTSTRAP = "", "vg_<id>_<secret>, with a secret of at least 40 letters and digits; several separated by commas",
        "Keys that may do everything and are in no store, for bootstrapping", secret;
    RATE_LIMIT_PER_SEC = "", "requests a second, 0 for no limit, at most 1000000",
        "The rate limit of one key; by default 1000 if keys are required, otherwise no limit";
    RATE_LIMIT_ADDRESS_PER_SEC = "", "requests a second, 0 for no limit, at most 1000000",
        "The rate limit of one address without a valid key; by default 50 if keys are required, otherwise no limit";
    RATE_LIMIT_BURST_SEC = "2", "seconds, 1 to 3600",
        "The burst size: the requests of this many seconds may come at once";
    TRUSTED_PROXIES = "", "networks such as 10.0.0.0/8,fd00::/8, separated by commas",
        "Proxies whose X-Forwarded-For or Forwarded is trusted";
}
