//! Callback hosts that can never be public, at public-api and at the worker.

use serde_json::{Value, json};
use tests::deployment::{DRIVER, Deployment, STATION, ask};
use tests::eventually;

use super::python::python;

const NEVER_PUBLIC: [&str; 12] = [
    "intranet",
    "charge-client:9000",
    "printer.local",
    "x.home.arpa",
    "shop.test",
    "x.invalid",
    "x.internal",
    "a_b.example.com",
    "-a.example.com",
    "1572395042",
    "0x5db8d822",
    "93.12113954",
];

#[tokio::test]
async fn a_never_public_host_is_refused_unless_networks_are_admitted() {
    let strict = Deployment::new().await.with("CALLBACK_ALLOWED_NETWORKS", "");
    let admitting = strict.clone().with("CALLBACK_ALLOWED_NETWORKS", "10.0.0.0/8,93.184.216.0/24");
    let ((_strict, refusing), (_admitting, taking)) = (strict.start_api().await, admitting.start_api().await);
    let path = format!("station/{STATION}/driver/{DRIVER}/authorize");
    for host in NEVER_PUBLIC {
        let url = format!("http://{host}/cb");
        let asked = strict.http.post(format!("{refusing}/{path}")).json(&json!({ "callback_url": url }));
        let refusal = asked.send().await.unwrap();
        assert_eq!(refusal.status(), 400, "{host}");
        let refusal: Value = refusal.json().await.unwrap();
        assert_eq!(refusal["field"], "callback_url", "{refusal}");
        assert!(refusal["detail"].as_str().unwrap().contains("CALLBACK_ALLOWED_NETWORKS"), "{refusal}");
        let accepted = ask(&strict.http, &taking, DRIVER, &url).await;
        assert!(accepted.is_some(), "{host} is refused where networks are admitted");
    }
    for public in ["example.com", "93.184.216.34", "www.example.co.uk:8443"] {
        let accepted = ask(&strict.http, &refusing, DRIVER, &format!("https://{public}/cb")).await;
        assert!(accepted.is_some(), "{public} is refused");
    }
}

#[tokio::test]
async fn a_python_task_for_a_never_public_host_is_dead_lettered() {
    let mut deployment = Deployment::new().await.with("CALLBACK_ALLOWED_NETWORKS", "");
    let _services = deployment.start().await;
    let script = format!(
        r#"
import sys, time
from celery import Celery
from kombu import Queue
app = Celery(broker=sys.argv[1])
app.conf.broker_transport_options = {{"confirm_publish": True}}
app.conf.task_queues = [Queue("celery", queue_arguments={{"x-queue-type": "quorum"}})]
for host in ["intranet", "printer.local", "1572395042"]:
    arguments = ["{STATION}", "{DRIVER}", "http://" + host + "/cb", time.time_ns() + 60 * 10**9]
    app.send_task("authorization_worker.tasks.authorize", arguments)
"#
    );
    let output = python(&deployment, &script, &[]).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut letters = Vec::new();
    eventually("three dead letters", async || {
        letters.extend(deployment.drain("celery.dead").await);
        (letters.len() == 3).then_some(())
    })
    .await;
    for letter in letters {
        let headers = &letter["properties"]["headers"];
        assert_eq!(
            (&headers["dead_reason"], &headers["dead_attempts"]),
            (&json!("callback_refused"), &json!(1))
        );
    }
}
