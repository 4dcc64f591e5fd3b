//! The metric of every process.

crate::metrics! {
    BUILD_INFO = "voltgate_build_info", Gauge, ["version", "commit"], [],
        "Always 1; the labels name the running version and the commit that it was built from";
}
