//! The metrics of this crate. `deploy/` charts them and `docs/alerts.md` explains them; a test compares the names.

service_runtime::metrics! {
    ACL_CHECKS = "voltgate_acl_checks_total", Counter, ["result"], ["allowed", "not_allowed"],
        "Drivers checked at acl-service, by result";
}
