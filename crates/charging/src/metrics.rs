//! The metrics of this crate. `deploy/` charts them and `docs/alerts.md` explains them; a test compares the names.

service_runtime::metrics! {
    DATABASE_REACHABLE = "voltgate_database_reachable", Gauge, [], [],
        "1 if the platform's database can be reached, otherwise 0";
    DATABASE_TRANSACTION = "voltgate_database_transaction_seconds", Histogram, ["kind"], [],
        "Time of one transaction, the wait for a connection included";
    OUTBOX_UNPUBLISHED = "voltgate_outbox_unpublished", Gauge, [], [],
        "Events that are stored and not yet published";
}
