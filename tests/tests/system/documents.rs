//! The documents agree with the code.

use std::path::Path;

use common::settings::markdown_table;

fn document(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)).unwrap()
}

#[test]
fn the_table_of_settings_is_that_of_the_code() {
    let table = markdown_table();
    assert!(
        document("docs/configure.md").contains(&table),
        "put this into docs/configure.md (`voltgate settings`):\n{table}"
    );
}

#[test]
fn the_architecture_is_read_in_a_few_minutes() {
    assert!(document("ARCHITECTURE.md").lines().count() <= 150);
}

#[test]
fn only_the_retry_policy_uses_the_crate_backoff() {
    let manifests =
        ["authorization", "embedded-db", "task-queue", "store", "http-api", "worker", "public-api"];
    for member in manifests {
        assert!(!document(&format!("{member}/Cargo.toml")).contains("backoff"), "{member}");
    }
}
