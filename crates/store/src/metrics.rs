//! The metrics of this crate. `deploy/` charts them and `docs/alerts.md` explains them; a test compares the names.

service_runtime::metrics! {
    STORE_REACHABLE = "voltgate_store_reachable", Gauge, ["writes"], [],
        "1 while the store takes what this process writes, probed every five seconds";
    STORE_PROBE = "voltgate_store_probe_seconds", Histogram, [], [],
        "Duration of such a probe, which is a few commands";
}
