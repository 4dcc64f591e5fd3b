//! Python's Celery on both sides: its client calls our worker, and its worker runs what our API published.

use std::process::Stdio;

use tests::callback_host::CallbackHost;
use tests::deployment::{DRIVER, Deployment, STATION};
use tests::eventually;
use tokio::process::{Child, Command};

const CLIENT: &str = r#"
import sys, time, uuid
from celery import Celery
from kombu import Queue
broker, station, token, url = sys.argv[1:]
app = Celery(broker=broker)
app.conf.task_queues = [Queue("celery", queue_arguments={"x-queue-type": "quorum"})]
expiry = time.time_ns() + 30_000_000_000
name = "authorization_worker.tasks.authorize"
print(app.send_task(name, [uuid.UUID(station), token, url + "/args", expiry]).id)
print(app.send_task(name, [station, token, url + "/text", expiry]).id)
print(app.send_task(name, [uuid.UUID(station)], dict(driver_token=token, callback_url=url + "/kwargs", expiry_time_ns=expiry)).id)
print(app.send_task(name, [uuid.UUID(station), token, url + "/late", time.time_ns() - 1]).id)
"#;

const WORKER: &str = r#"
import json, sys, urllib.request, uuid
from celery import Celery
from kombu import Queue
app = Celery("authorization_worker", broker=sys.argv[1])
app.conf.task_queues = [Queue("celery", queue_arguments={"x-queue-type": "quorum"})]
@app.task(name="authorization_worker.tasks.authorize", ignore_result=True)
def authorize(station_id, driver_token, callback_url, expiry_time_ns):
    assert isinstance(station_id, uuid.UUID) and isinstance(expiry_time_ns, int)
    body = json.dumps({"station_id": str(station_id), "driver_token": driver_token, "status": "allowed"})
    headers = {"content-type": "application/json", "webhook-id": authorize.request.id}
    urllib.request.urlopen(urllib.request.Request(callback_url, body.encode(), headers))
app.worker_main(["worker", "--pool=solo", "--loglevel=INFO", "-Q", "celery"])
"#;

/// Runs a script with the broker's URL before its arguments.
pub(super) fn python(deployment: &Deployment, script: &str, arguments: &[&str]) -> Command {
    let mut python = Command::new(&deployment.servers.python);
    python.arg("-c").arg(script).arg(&deployment.environment["BROKER_URL"]).args(arguments);
    python.stdin(Stdio::null()).kill_on_drop(true);
    python
}

#[tokio::test]
async fn a_python_client_is_served_by_our_worker() {
    let mut deployment = Deployment::new().await;
    let services = deployment.start().await;
    let host = CallbackHost::start().await;
    services.admit(&deployment.http, DRIVER).await;
    let output = python(&deployment, CLIENT, &[STATION, DRIVER, &host.url("/ok")]).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let ids: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    host.all_of(&ids).await;
    for (path, id) in ["/ok/args", "/ok/text", "/ok/kwargs", "/ok/late"].iter().zip(&ids) {
        let callback = host.callback(path).await;
        assert_eq!((callback.id(), callback.body["station_id"].as_str()), (id.as_str(), Some(STATION)));
        assert_eq!(callback.status(), if *path == "/ok/late" { "unknown" } else { "allowed" }, "{path}");
    }
}

#[tokio::test]
async fn a_python_worker_does_what_our_api_published() {
    let deployment = Deployment::new().await;
    let (_api, api_url) = deployment.start_api().await;
    let host = CallbackHost::start().await;
    let request =
        tests::deployment::ask(&deployment.http, &api_url, DRIVER, &host.url("/ok/python")).await.unwrap();
    let _worker: Child =
        python(&deployment, WORKER, &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let callback = host.callback("/ok/python").await;
    assert_eq!((callback.id(), callback.status()), (request.as_str(), "allowed"));
    eventually("the queue to be empty", async || {
        (deployment.messages_in("celery").await? == 0).then_some(())
    })
    .await;
}
