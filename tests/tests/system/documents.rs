//! The documents agree with the code.

use std::path::Path;

fn document(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)).unwrap()
}

#[test]
fn the_table_of_settings_is_that_of_the_code() {
    let table = voltgate::tables::settings();
    assert!(
        document("docs/configure.md").contains(&table),
        "put this into docs/configure.md (`voltgate settings`):\n{table}"
    );
}

#[test]
fn the_table_of_what_is_stored_about_people_is_that_of_the_code() {
    let table = charging::accounts::retention::markdown_table();
    assert!(
        document("docs/privacy.md").contains(&table),
        "put this into docs/privacy.md (`voltgate users retention`):\n{table}"
    );
}

#[test]
fn only_the_retry_policy_uses_the_crate_backoff() {
    let crates = ["authorization", "embedded-db", "task-queue", "store", "http-server"]
        .map(|name| format!("crates/{name}"));
    for member in crates.iter().map(String::as_str).chain(["common", "worker", "public-api", "acl-service"]) {
        assert!(!document(&format!("{member}/Cargo.toml")).contains("backoff"), "{member}");
    }
}
