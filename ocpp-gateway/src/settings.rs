//! The rows of the settings table for ocpp-gateway. To add a setting, add a row here and its name to
//! `service_runtime::settings::NAMES`, and read it in `config.rs`.

service_runtime::settings! {
    OCPP_PORT = "9000", "a port; 0 asks for any free one",
        "The port of ocpp-gateway, to which chargers connect";
    OCPP_TLS_PORT = "", "a port; 0 asks for any free one",
        "The port of ocpp-gateway for chargers that connect over TLS, with TLS_CERT_FILE and TLS_KEY_FILE. Without it there is none";
    OCPP_CLIENT_CA_FILE = "", "a file",
        "Certificates in PEM of the authorities that sign those of chargers (security profile 3)";
    OCPP_CLIENT_CRL_FILE = "", "a file",
        "Lists in PEM of certificates of chargers that were revoked";
    OCPP_SIGNING_CA_FILE = "", "a file",
        "The certificate in PEM of an authority of yours that signs those of chargers, and its chain. Without it, CSRs wait for you in the platform";
    OCPP_SIGNING_KEY_FILE = "", "a file",
        "The private key in PEM of that authority";
    OCPP_CERTIFICATE_DAYS = "365", "days, 1 to 3650",
        "How long a signed certificate is valid";
    OCPP_DATA_TRANSFER_HANDLERS = "", "vendor=URL or vendor/message=URL, separated by commas",
        "Endpoints of yours for the data of vendors (DataTransfer). Without one for a vendor, its data is answered UnknownVendorId";
    OCPP_ALLOW_OPEN = "false", "true or false",
        "Whether a charger without a password may connect (security profile 0). For tests and closed networks only";
    OCPP_HEARTBEAT_SEC = "300", "seconds, 10 to 86400",
        "How often a charger sends a heartbeat";
    OCPP_PING_SEC = "30", "seconds, 1 to 3600",
        "How often the gateway pings a charger. One that stays silent for twice as long and 10 seconds is offline";
    OCPP_AUTHORIZE_TIMEOUT_SEC = "2.5", "seconds, 0.1 to 30",
        "How long a driver waits for an answer at the charger. Without a decision by then, the whitelist of the token decides";
    OCPP_CALL_TIMEOUT_SEC = "30", "seconds, 1 to 300",
        "How long a charger may take to answer a call of ours";
    OCPP_MAX_FRAME_KIB = "1024", "KiB, 64 to 16384",
        "The largest message of a charger. A larger one closes its connection";
    OCPP_MAX_SOCKETS = "10000", "1 to 1000000",
        "How many chargers may be connected to one node";
    OCPP_TOKEN_PREFIX = "", "16 to 60 characters of a driver token",
        "What makes a driver token of an id tag that is not known: prefix and tag, in upper case. Without it such a tag is invalid";
}
