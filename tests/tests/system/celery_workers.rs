//! Shared by the tests of Celery's remote control and events: a worker of ours and a Python worker on
//! one broker, and a Python client.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use task_queue::{
    Autoscale, Broker, ControlConfig, Outcome, QueueType, Task, TaskContext, Tasks, Topology, Worker,
    WorkerConfig, connect,
};
use tests::deployment::Deployment;
use tests::{PATIENCE, eventually};
use tokio::process::Child;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::python::python;

/// Sleeps until it is done or terminated.
struct Slow;

#[derive(serde::Deserialize)]
struct Seconds {
    seconds: serde_json::Number,
}

#[async_trait]
impl Task for Slow {
    const NAME: &'static str = "tests.slow";
    const PARAMETERS: &'static [&'static str] = &["seconds"];
    type Args = Seconds;

    async fn run(&self, args: Seconds, _: TaskContext) -> Outcome {
        tokio::time::sleep(Duration::from_secs_f64(args.seconds.as_f64().unwrap())).await;
        Outcome::Succeeded(json!({"slept": args.seconds}))
    }
}

/// A worker of ours in this process. Its Celery node name is `ours@test`.
pub(super) struct Ours {
    pub(super) stop: CancellationToken,
    running: JoinHandle<()>,
}

pub(super) const QUEUES: [&str; 2] = ["celery", "q.ours"];

pub(super) async fn broker(deployment: &Deployment) -> Arc<dyn Broker> {
    let topology = Topology {
        queues: QUEUES.map(str::to_owned).to_vec(),
        queue_type: QueueType::Classic,
        publish_timeout: Duration::from_secs(10),
        name: "celery control".to_owned(),
    };
    connect(&deployment.environment["BROKER_URL"], topology, PATIENCE).await.unwrap()
}

pub(super) fn control() -> ControlConfig {
    ControlConfig { hostname: Some("ours@test".to_owned()), ..ControlConfig::default() }
}

impl Ours {
    pub(super) async fn start(deployment: &Deployment) -> Self {
        Self::start_as(deployment, control(), None).await
    }

    pub(super) async fn start_as(
        deployment: &Deployment,
        control: ControlConfig,
        autoscale: Option<Autoscale>,
    ) -> Self {
        let broker = broker(deployment).await;
        let queues = QUEUES.map(|queue| (queue.to_owned(), 2)).to_vec();
        let config = WorkerConfig { queues, grace: Duration::from_secs(5) };
        let tasks = Tasks::default().register(Slow).unwrap();
        let worker = Worker::new(Arc::clone(&broker), tasks, config);
        let stop = CancellationToken::new();
        let run = worker.with_control(control).with_autoscale(autoscale).run(stop.clone());
        let running = tokio::spawn(async move {
            run.await.unwrap();
            broker.close().await;
        });
        let ours = Self { stop, running };
        ours.is_there(deployment).await;
        ours
    }

    async fn is_there(&self, deployment: &Deployment) {
        let pidbox = format!("queues/{}/ours@test.celery.pidbox", deployment.vhost);
        eventually("the mailbox of our worker", async || {
            deployment.servers.broker_get(&pidbox).await.filter(|queue| queue["consumers"] == 1)
        })
        .await;
    }

    pub(super) async fn stop(self) {
        self.stop.cancel();
        self.ended().await;
    }

    pub(super) async fn ended(self) {
        tokio::time::timeout(PATIENCE, self.running).await.expect("the worker ends").unwrap();
    }
}

const PYTHON_WORKER: &str = r#"
import sys, time
from celery import Celery
app = Celery("tests", broker=sys.argv[1])
@app.task(name="tests.slow")
def slow(seconds):
    time.sleep(seconds)
    return {"slept": seconds}
app.worker_main(["worker", "--pool=prefork", "-c", "2", "-n", "python@test", "-Q", "celery,q.python", *sys.argv[2:]])
"#;

/// A Python worker with the node name `python@test`.
pub(super) async fn python_worker(deployment: &Deployment, arguments: &[&str]) -> Child {
    let mut worker = python(deployment, PYTHON_WORKER, arguments);
    let worker = worker.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let pidbox = format!("queues/{}/python@test.celery.pidbox", deployment.vhost);
    eventually("the mailbox of the Python worker", async || {
        deployment.servers.broker_get(&pidbox).await.filter(|queue| queue["consumers"] == 1)
    })
    .await;
    worker
}

/// Runs a Python client; returns the JSON that it printed.
pub(super) async fn client(deployment: &Deployment, script: &str, arguments: &[&str]) -> Value {
    const PRELUDE: &str = r#"
import json, sys, time
from celery import Celery
app = Celery(broker=sys.argv[1])
def slow(seconds, queue="q.ours", **options):
    return app.send_task("tests.slow", [seconds], queue=queue, **options).id
def ask(method, nodes=1, to=("ours@test",), **arguments):
    replies = app.control.broadcast(method, arguments, reply=True, timeout=5, limit=nodes, destination=to and list(to))
    return {node: reply for each in replies for node, reply in each.items()}
def ours(method, **arguments):
    return ask(method, **arguments)["ours@test"]
def until(state):
    began = time.monotonic()
    while not state():
        assert time.monotonic() - began < 60, "waited in vain"
        time.sleep(0.05)
"#;
    let script = format!("{PRELUDE}{script}");
    let output = python(deployment, &script, arguments).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}
