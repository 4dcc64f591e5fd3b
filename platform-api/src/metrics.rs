//! The metrics of this crate. `deploy/` charts them and `docs/alerts.md` explains them; a test compares the names.

service_runtime::metrics! {
    LIVE_STREAMS = "voltgate_live_streams", Gauge, [], [],
        "Live streams that are open";
    LIVE_DROPPED = "voltgate_live_streams_dropped_total", Counter, [], [],
        "Live streams that were ended because their client read too slowly";
    CORE_CHANGES_WAITING = "voltgate_core_changes_waiting", Gauge, [], [],
        "Changes of stations and tokens that acl-service has still to learn";
    SIGN_INS = "voltgate_sign_ins_total", Counter, ["outcome"], ["accepted", "refused", "second_factor", "reused"],
        "Attempts to sign in, by outcome; `reused` counts refresh tokens that were used again after the grace";
}
