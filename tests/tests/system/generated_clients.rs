//! Clients generated from the services' documents work: every operation has code, and each kind of call is made.

use tests::deployment::Deployment;
use tests::platform::{KEY, Platform};
use tests::python::Python;

const CLIENTS: &str = include_str!("../../clients/generated.py");
const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi/openapi-python-client.yaml");

#[tokio::test]
async fn clients_generated_for_python_can_make_the_calls_and_read_the_callback_and_the_stream() {
    let deployment = Deployment::new().await.with("API_KEYS", "required").with("API_KEY_BOOTSTRAP", KEY);
    let signing = deployment
        .with("WEBHOOK_SECRET", "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
        .with("WEBHOOK_PRIVATE_KEY", "whsk_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=");
    let mut deployment = signing.with("AUTHORIZATION_SERVICE_KEY", KEY);
    let services = deployment.start().await;
    let platform = Platform::of(deployment.clone()).await;
    let directory = tempfile::tempdir().unwrap();
    let (folder, log) = (directory.path().to_str().unwrap(), directory.path().join("log"));
    let arguments = [folder, CONFIG, &services.api_url, &services.acl_url, &platform.url, KEY];
    let mut python = Python::start(&deployment.servers.python, CLIENTS, &arguments, &log);
    assert!(python.ended_well().await, "{}", std::fs::read_to_string(log).unwrap());
}
