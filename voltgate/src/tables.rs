//! The settings and the metrics of all crates, joined: the tables of the documents, and what a process needs that runs every
//! service.

use service_runtime::metrics::{self, Metric};
use service_runtime::settings::{self, Setting};

/// The settings of every service and of the commands.
pub const SETTINGS: &[&[Setting]] = &[
    service_runtime::settings::ALL,
    authorization::settings::ALL,
    store::settings::ALL,
    http_server::settings::ALL,
    charging::settings::ALL,
    platform_api::settings::ALL,
    ocpp_gateway::settings::ALL,
    public_api::settings::ALL,
    worker::settings::ALL,
    crate::settings::ALL,
];

/// The metrics of every service.
pub const METRICS: &[&[Metric]] = &[
    service_runtime::metrics::ALL,
    public_api::metrics::ALL,
    authorization::metrics::ALL,
    worker::metrics::ALL,
    acl_service::metrics::ALL,
    store::metrics::ALL,
    charging::metrics::ALL,
    platform_api::metrics::ALL,
    ocpp_gateway::metrics::ALL,
    http_server::metrics::ALL,
];

/// The crates whose spans are sent.
pub(crate) const TRACED: &[&str] = &[
    "http_server",
    "public_api",
    "acl_service",
    "platform_api",
    "ocpp_gateway",
    "charging",
    "authorization",
    "worker",
];

/// The table of docs/configure.md.
pub fn settings() -> String {
    settings::markdown_table(SETTINGS)
}

/// The table of docs/metrics.md.
pub fn metrics() -> String {
    metrics::markdown_table(METRICS)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use service_runtime::settings::NAMES;

    use super::*;

    #[test]
    fn each_setting_has_one_row_and_a_place_in_the_documentation() {
        let rows: Vec<&Setting> = SETTINGS.iter().copied().flatten().collect();
        let names: BTreeSet<&str> = rows.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), rows.len(), "a setting has two rows");
        assert_eq!(names, NAMES.iter().copied().collect(), "NAMES and the rows differ");
        assert!(rows.iter().all(|row| !row.expected.is_empty() && !row.about.is_empty()));
    }
}
