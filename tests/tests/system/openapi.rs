//! The OpenAPI documents describe what the services do: compared with the committed files, shown by a page that needs
//! nothing else, and checked against the services by schemathesis.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use reqwest::Method;
use serde_json::Value;
use tests::deployment::Deployment;
use tests::people::PASSWORD;
use tests::platform::{KEY, Platform};
use tests::python::Python;

/// What platform-api presents to acl-service.
const PLATFORM_KEY: &str = "vg_platform_5ec4e7000000000000000000000000000000000000000000";

const SCHEMATHESIS: &str = "
import os, sys
os.chdir(sys.argv.pop(1))
from schemathesis.cli import schemathesis
schemathesis()
";

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

async fn document(http: &reqwest::Client, base: &str) -> Value {
    http.get(format!("{base}/openapi.json")).send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn the_committed_documents_are_those_that_are_served() {
    let mut deployment = Deployment::new().await.with("CHARGE_SERVICE_API", true);
    let ((_acl, acl), (_api, api)) = (deployment.start_acl().await, deployment.start_api().await);
    let platform = Platform::of(deployment.clone()).await;
    for (service, base) in [("public-api", &api), ("acl-service", &acl), ("platform-api", &platform.url)] {
        let served = document(&deployment.http, base).await;
        let name = format!("docs/openapi/{service}.json");
        let committed = std::fs::read(file(&name)).unwrap_or_default();
        let renew = format!("renew it: voltgate openapi {service} > {name}");
        assert!(
            serde_json::from_slice(&committed).is_ok_and(|committed: Value| committed == served),
            "{renew}"
        );
        let operations = served["paths"].as_object().unwrap().values();
        let operations: Vec<&Value> =
            operations.flat_map(|item| item.as_object().unwrap().values()).collect();
        let ids: BTreeSet<&str> = operations.iter().map(|it| it["operationId"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), operations.len(), "two operations of {service} have one id");
    }
}

#[tokio::test]
async fn the_page_has_its_parts_and_may_load_no_others() {
    let deployment = Deployment::new().await;
    let (_api, api) = deployment.start_api().await;
    let get = async |url: &str| {
        let response = deployment.http.get(url).header("accept-encoding", "gzip").send().await.unwrap();
        let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
        (response.status().as_u16(), response.url().path().to_owned(), policy)
    };
    assert_eq!(get(&format!("{api}/docs")).await.1, "/docs/");
    assert_eq!(get(&format!("{api}/")).await.1, "/docs/");
    let parts =
        ["", "swagger-ui.css", "index.css", "swagger-ui-bundle.js", "swagger-ui-standalone-preset.js"];
    for part in parts.into_iter().chain(["swagger-initializer.js", "favicon-32x32.png"]) {
        let (status, _, policy) = get(&format!("{api}/docs/{part}")).await;
        assert!(
            status == 200 && policy.contains("default-src 'none'; script-src 'self'"),
            "{part}: {status} {policy}"
        );
    }
    // No other page has a looser policy.
    let (status, _, policy) = get(&format!("{api}/docs/nothing")).await;
    assert_eq!((status, policy.as_str()), (404, "default-src 'none'; frame-ancestors 'none'"));
}

#[tokio::test]
async fn the_address_of_each_service_leads_to_its_page_without_a_key() {
    let mut deployment = Deployment::new().await.with("API_KEYS", "required");
    let ((_acl, acl), (_api, api)) = (deployment.start_acl().await, deployment.start_api().await);
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let platform = Platform::of(deployment.clone()).await;
    for base in [&api, &acl, &platform.url] {
        for method in [Method::GET, Method::HEAD] {
            let answer = client.request(method.clone(), format!("{base}/")).send().await.unwrap();
            let place = answer.headers().get("location").map(|place| place.to_str().unwrap().to_owned());
            assert_eq!((answer.status().as_u16(), place.as_deref()), (307, Some("docs/")), "{method} {base}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemathesis_finds_no_answer_that_is_not_in_the_document() {
    let deployment = Deployment::new().await.with("API_KEYS", "required").with("API_KEY_BOOTSTRAP", KEY);
    let deployment = deployment.with("CHARGE_SERVICE_API", true);
    let unlimited = deployment.with("RATE_LIMIT_PER_SEC", 0).with("RATE_LIMIT_ADDRESS_PER_SEC", 0);
    let mut deployment =
        unlimited.with("AUTHORIZATION_SERVICE_KEY", KEY).with("PLATFORM_ACL_KEY", PLATFORM_KEY);
    let services = deployment.start().await;
    let platform = Platform::of(deployment.clone()).await;
    tokio::join!(
        examine(&deployment, "public-api", &services.api_url, KEY, &[]),
        examine(&deployment, "acl-service", &services.acl_url, KEY, &[]),
        examine(&deployment, "platform-api", &platform.url, KEY, &[])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemathesis_finds_no_answer_that_is_not_in_the_document_for_an_administrator_either() {
    let deployment =
        Deployment::new().await.with("RATE_LIMIT_ADDRESS_PER_SEC", 0).with("AUTH_RATE_PER_MIN", 0);
    let deployment = deployment.with("ACCESS_TOKEN_SEC", 86_400);
    let deployment =
        deployment.with("PLATFORM_ADMIN_USERNAME", "root").with("PLATFORM_ADMIN_PASSWORD", PASSWORD);
    let mut deployment = deployment.with("PLATFORM_ACL_KEY", PLATFORM_KEY);
    let (_acl, _) = deployment.start_acl().await;
    let platform = Platform::of(deployment).await;
    let root = platform.sign_in("root").await;
    let ending = ["logout", "end_sign_in", "erase_me"];
    let without = ending.map(|id| ["--exclude-operation-id", id]).concat();
    examine(&platform.deployment, "platform-api", &platform.url, &root.access, &without).await;
    assert_eq!(root.status(&platform).await, 200, "the administrator was signed in to the end");
}

/// Every check and phase, with few examples; the seed makes them the same in each run.
async fn examine(deployment: &Deployment, service: &str, base: &str, token: &str, more: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let (key, url) = (format!("Authorization: Bearer {token}"), format!("{base}/openapi.json"));
    let config = file("tests/schemathesis.toml");
    let arguments =
        [directory.path().to_str().unwrap(), "--config-file", config.to_str().unwrap(), "run", &url];
    let few = ["--max-examples", "5", "--seed", "1", "--no-color", "--header", &key];
    let arguments = [&arguments[..], &few, more].concat();
    let mut python = Python::start(&deployment.servers.python, SCHEMATHESIS, &arguments, &log);
    let ended_well = python.ended_well().await;
    assert!(ended_well, "{service}:\n{}", std::fs::read_to_string(log).unwrap());
}
