//! `voltgate doctor`, for a healthy deployment and for a broken one.

use std::collections::BTreeMap;
use std::process::Output;

use serde_json::Value;
use tests::deployment::Deployment;
use tests::process::{Process, program};
use tests::servers::reqwest_client;
use tests::{eventually, free_port};

async fn doctor(environment: &BTreeMap<String, String>, arguments: &[&str]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    tokio::process::Command::new(program("voltgate"))
        .arg("doctor")
        .args(arguments)
        .env_clear()
        .envs(environment)
        .current_dir(directory.path())
        .output()
        .await
        .unwrap()
}

/// The checks that measure this machine: any of them may be a warning on a slow one.
const MEASURED: [&str; 4] = ["open files", "store latency", "clock", "queue age"];

/// One line for each check, without what differs from run to run.
fn normalised(text: &str, replaced: &[(&str, &str)]) -> String {
    let text = replaced.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    assert!(MEASURED.iter().all(|check| text.contains(check)), "{text}");
    let kept = text.lines().filter(|line| !MEASURED.iter().any(|check| line.contains(check)));
    kept.filter(|line| !line.starts_with("failures: ")).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn a_deployment_that_is_well_gets_no_failure_and_one_that_is_not_is_told_what_to_do() {
    let mut deployment = Deployment::new().await;
    let services = deployment.start().await;
    eventually("the worker to consume, and the delays to be there", async || {
        let output = doctor(&deployment.environment, &["--api", &services.api_url, "--json"]).await;
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        (report["failures"] == 0 && !report.to_string().contains("does not exist yet")).then_some(())
    })
    .await;
    let output = doctor(&deployment.environment, &["--api", &services.api_url]).await;
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    let broker = deployment.servers.broker.rsplit('@').next().unwrap().to_owned();
    let mut redis = deployment.servers.redis().await;
    let info: String = redis::cmd("INFO").arg("server").query_async(&mut redis).await.unwrap();
    let version = info.lines().find_map(|line| line.strip_prefix("redis_version:")).unwrap().to_owned();
    let replaced = [
        (services.api_url.as_str(), "API"),
        (services.acl_url.as_str(), "ACL"),
        (deployment.vhost.as_str(), "VHOST"),
        (broker.as_str(), "BROKER"),
        (deployment.servers.redis.as_str(), "REDIS"),
        (version.trim(), "VERSION"),
    ];
    insta::assert_snapshot!("well", normalised(&text, &replaced));

    services.worker.kill().await;
    services.acl.kill().await;
    eventually("the broker to notice that the worker is gone", async || {
        let queue = deployment.servers.broker_get(&format!("queues/{}/celery", deployment.vhost)).await?;
        (queue["consumers"] == 0).then_some(())
    })
    .await;
    let broken = deployment
        .clone()
        .with("TASK_QUEUE_TYPE", "classic")
        .with("CALLBACK_WINDOW_SEC", "soon")
        .with("CALLBACK_ALLOWED_NETWORKS", "0.0.0.0/0");
    let output = doctor(&broken.environment, &["--api", &services.api_url]).await;
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!("ill", normalised(&String::from_utf8(output.stdout).unwrap(), &replaced));
}

#[tokio::test]
async fn services_that_want_a_key_are_shown_the_one_of_the_settings() {
    let key = "vg_admin_5ec4e7000000000000000000000000000000000000000000";
    let mut deployment = Deployment::new().await.with("API_KEYS", "required").with("API_KEY_BOOTSTRAP", key);
    let (_acl, _) = deployment.start_acl().await;
    let (_api, api_url) = deployment.start_api().await;
    let acl_service = async |environment: &BTreeMap<String, String>| {
        let output = doctor(environment, &["--api", &api_url, "--json"]).await;
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(!report.to_string().contains(key), "{report}");
        let checks = report["checks"].as_array().unwrap().clone();
        checks.into_iter().find(|check| check["check"] == "acl-service").unwrap()
    };
    let refused = acl_service(&deployment.environment).await;
    assert!(refused["result"] == "failure" && refused["detail"].to_string().contains("401"), "{refused}");
    let admitted = acl_service(&deployment.with("VOLTGATE_KEY", key).environment).await;
    assert_eq!(admitted["result"], "ok", "{admitted}");
}

#[tokio::test]
async fn servers_that_are_not_there_are_named_without_their_passwords() {
    let nowhere = [
        ("BROKER_URL", "amqp://me:s3cret@127.0.0.1:1/%2f"),
        ("REDIS_URL", "redis://:s3cret@127.0.0.1:1"),
        ("AUTHORIZATION_SERVICE_URL", "http://127.0.0.1:1"),
        ("STARTUP_TIMEOUT_SEC", "1"),
    ];
    let environment = nowhere.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let output = doctor(&environment, &["--api", "http://127.0.0.1:1", "--json"]).await;
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    let failed: Vec<&str> = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["result"] == "failure")
        .map(|check| check["check"].as_str().unwrap())
        .collect();
    assert_eq!(failed, ["broker", "store", "acl-service", "public-api"]);
    assert!(!text.contains("s3cret"), "{text}");
}

#[tokio::test]
async fn a_store_that_does_not_permit_info_is_examined_as_far_as_it_can_be() {
    let deployment = Deployment::new().await;
    let mut redis = deployment.servers.redis().await;
    let user = format!("doctor-{}", free_port());
    let rules = ["on", ">s3cret", "~*", "+@all", "-info", "-time"];
    redis::cmd("ACL").arg("SETUSER").arg(&user).arg(&rules).query_async::<()>(&mut redis).await.unwrap();
    let url = deployment.servers.redis.replacen("redis://", &format!("redis://{user}:s3cret@"), 1);
    let deployment = deployment.with("REDIS_URL", url);
    let output = doctor(&deployment.environment, &["--api", "http://127.0.0.1:1", "--json"]).await;
    redis::cmd("ACL").arg("DELUSER").arg(&user).query_async::<()>(&mut redis).await.unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let result = |check: &str| {
        let checks = report["checks"].as_array().unwrap().iter();
        checks.filter(|each| each["check"] == check).map(|each| each["result"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(result("store"), ["warning"], "{report}");
    assert_eq!(
        (result("store write"), result("clock")),
        (vec!["ok".into()], vec!["warning".into()]),
        "{report}"
    );
    assert!(
        !report.to_string().contains("s3cret") && report.to_string().contains("no permissions"),
        "{report}"
    );
}

#[tokio::test]
async fn a_system_in_one_process_is_looked_at_while_it_runs() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data").display().to_string();
    let port = free_port();
    let environment: BTreeMap<String, String> = [
        ("PUBLIC_API_PORT", port.to_string()),
        ("AUTHORIZATION_SERVICE_PORT", free_port().to_string()),
        ("PLATFORM_API_PORT", free_port().to_string()),
        ("OCPP_PORT", "0".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let nobody = String::from_utf8(doctor(&environment, &["--data", &data]).await.stdout).unwrap();
    assert!(nobody.contains("start `voltgate up`, or name its directory with --data"), "{nobody}");
    let _process = Process::start("voltgate", &["up", "--data", &data], &environment);
    let text = eventually("the doctor to be content", async || {
        let output = doctor(&environment, &["--data", &data]).await;
        (output.status.code() == Some(0)).then(|| String::from_utf8(output.stdout).unwrap())
    })
    .await;
    assert!(text.contains("a SQLite file at embedded:") && text.contains("messages waiting: 0"), "{text}");
    let url = format!("http://127.0.0.1:{port}/metrics");
    // Metrics of all three services, because they share a process.
    let expected = ["voltgate_requests_accepted_total 0", "voltgate_queue_messages{queue=\"celery\"} 0"];
    let http = reqwest_client();
    eventually("the metrics of all three", async || {
        let metrics = http.get(&url).send().await.ok()?.text().await.ok()?;
        expected.iter().all(|line| metrics.contains(line)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn each_delay_level_is_checked_and_a_lossy_policy_is_named() {
    let mut deployment = Deployment::new().await;
    let services = deployment.start().await;
    let deployment = deployment.clone().with("BROKER_MANAGEMENT_URL", &deployment.servers.broker_api);
    let delays = async || {
        let output = doctor(&deployment.environment, &["--api", &services.api_url, "--json"]).await;
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let checks = report["checks"].as_array().unwrap().clone();
        let of_delays = |check: &Value| check["check"].as_str().unwrap().starts_with("broker delay");
        checks.into_iter().filter(of_delays).collect::<Vec<_>>()
    };
    let results = |checks: &[Value]| checks.iter().map(|check| check["result"].clone()).collect::<Vec<_>>();
    eventually("all of it to be well", async || {
        let checks = delays().await;
        (results(&checks) == ["ok", "ok", "ok"]).then_some(())
    })
    .await;
    services.worker.kill().await;
    let (api, vhost) = (&deployment.servers.broker_api, &deployment.vhost);
    let policy = serde_json::json!({"pattern": "^celery_delayed_7$", "apply-to": "queues",
        "definition": {"expires": 600_000, "max-length": 10}});
    let put = deployment.http.put(format!("{api}/api/policies/{vhost}/short")).json(&policy).send().await;
    assert!(put.unwrap().status().is_success());
    let deleted = deployment.http.delete(format!("{api}/api/queues/{vhost}/celery_delayed_5")).send().await;
    assert!(deleted.unwrap().status().is_success());
    let checks = eventually("it to be ill", async || {
        let checks = delays().await;
        (results(&checks) == ["failure", "failure", "failure"]).then_some(checks)
    })
    .await;
    let detail = |number: usize| checks[number]["detail"].as_str().unwrap();
    assert!(detail(0).ends_with("missing: queue celery_delayed_5"), "{}", detail(0));
    assert_eq!(detail(1), "celery_delayed_7: expires is 600000; celery_delayed_7: max-length is 10");
    assert!(detail(2).starts_with("missing: celery_delayed_5 to celery_delayed_5 by "), "{}", detail(2));
}
