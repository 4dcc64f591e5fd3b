//! Celery's remote control: the same commands to a Python worker and to one of ours, side by side on one broker.

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

use super::celery_events::LISTEN;
use super::python::python;

/// Waits, unless it is ended before.
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

/// A worker of ours in this process, of which Python sees the name `ours@test`.
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

    async fn ended(self) {
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

/// A Python worker, which is called `python@test`.
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

/// Runs a Python client; gives what it printed as JSON.
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

/// Keys and types; of a list, its first item. Any number is one.
fn shape(value: &Value) -> Value {
    match value {
        Value::Null => json!("null"),
        Value::Bool(_) => json!("bool"),
        Value::Number(_) => json!("number"),
        Value::String(_) => json!("text"),
        Value::Array(items) => Value::Array(items.first().map(shape).into_iter().collect()),
        Value::Object(map) => map.iter().map(|(name, value)| (name.clone(), shape(value))).collect(),
    }
}

const EVERY_COMMAND: &str = r#"
both = ["ours@test", "python@test"]
running = {queue: slow(60, queue) for queue in ["q.ours", "q.python"]}
until(lambda: all(len(reply) == 1 for reply in ask("active", 2, both).values()))
ids = list(running.values())
replies = []
def compare(method, exactly=True, **arguments):
    replies.append([f"{method} {arguments}", exactly, ask(method, 2, both, **arguments)])
def alike(method, **arguments):
    compare(method, False, **arguments)
compare("ping")
compare("pool_grow"); compare("pool_grow", n=2)
for method in "clock report stats active dump_active reserved dump_reserved scheduled dump_schedule".split():
    alike(method)
alike("active", safe=True)
alike("active_queues")
compare("registered"); compare("dump_tasks"); compare("registered", taskinfoitems=["name"])
answer = ask("query_task", 2, both, ids=ids)
replies.append(["query_task", False, {node: list(found.values()) for node, found in answer.items()}])
assert ours("memsample").endswith("MB")
compare("query_task", ids="nosuch")
compare("revoked"); compare("dump_revoked")
compare("revoke", task_id="one"); compare("revoke", task_id=["one"], signal="KILL")
compare("revoke", task_id="one", terminate=True); compare("terminate", task_id="one", signal="TERM")
compare("revoke")
compare("revoke_by_stamped_headers", headers={"tenant": "x"}); compare("revoke_by_stamped_headers", headers=["a=b"])
compare("revoke_by_stamped_headers", headers={"tenant": ["y"]}, terminate=True)
compare("revoked")
slow_name = "tests.slow"
for limit in ["10/m", "0.5/s", 3, 0, "0", None, "often", "1/y"]:
    compare("rate_limit", task_name=slow_name, rate_limit=limit)
compare("rate_limit", task_name=slow_name, rate_limit="10/m"); compare("registered")
compare("rate_limit", task_name=slow_name, rate_limit=0)
compare("rate_limit", task_name="nosuch", rate_limit="1/s")
compare("time_limit", task_name=slow_name, soft=50, hard=55); compare("time_limit", task_name="nosuch")
compare("time_limit", task_name=slow_name)
compare("autoscale", max=5, min=2); compare("pool_restart")
compare("add_consumer", queue="q.more"); compare("cancel_consumer", queue="q.more"); compare("add_consumer")
compare("disable_events"); compare("enable_events"); compare("enable_events"); compare("disable_events")
compare("pool_shrink")
compare("heartbeat")
compare("nosuch"); compare("dump_nosuch")
alike("hello", from_node="somebody@else", revoked=["two"]); alike("hello", from_node="old@else", revoked={"three": 1.5})
compare("revoked")
# Last, because an election with one candidate, as that of a single Python worker is, ends the worker's connection.
compare("election", id="1", topic="t", action=None)
print(json.dumps(replies))
app.control.broadcast("revoke", {"task_id": ids, "terminate": True, "signal": "KILL"})
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_is_answered_as_a_python_worker_answers_it() {
    let deployment = Deployment::new().await;
    let ours = Ours::start(&deployment).await;
    let _python = python_worker(&deployment, &[]).await;
    let replies = client(&deployment, EVERY_COMMAND, &[]).await;
    let replies = replies.as_array().unwrap();
    let mut different = Vec::new();
    for reply in replies {
        let (command, exactly) = (reply[0].as_str().unwrap(), reply[1] == true);
        let [(ours, python), ..] = [(&reply[2]["ours@test"], &reply[2]["python@test"])];
        let same = if exactly { ours == python } else { shape(ours) == shape(python) };
        if !same {
            different.push(format!("{command}\n  ours:   {ours}\n  python: {python}"));
        }
    }
    assert!(different.is_empty(), "{} of {}:\n{}", different.len(), replies.len(), different.join("\n"));
    assert!(replies.len() > 60);
    ours.stop().await;
}

const REVOKING: &str = r#"
running = [slow(60), slow(60)]
until(lambda: len(ours("active")) == 2)
waiting, stamped, kept = slow(0), slow(0, stamped_headers=["tenant"], tenant="x"), slow(0)
assert ours("revoke", task_id=waiting) == {"ok": "tasks {'%s'} flagged as revoked" % waiting}
ours("revoke_by_stamped_headers", headers={"tenant": ["x"]})
assert waiting in ours("revoked")
answer = ours("revoke", task_id=running, terminate=True, signal="KILL")
assert sorted(answer["ok"].removeprefix("terminate: ").split(", ")) == sorted(running), answer
until(lambda: ours("stats")["total"] == {"tests.slow": 3})
until(lambda: not ours("active"))
print(json.dumps([waiting, stamped]))
"#;

const STILL_REVOKED: &str = r#"
waiting = sys.argv[2]
assert waiting in ours("revoked"), ours("revoked")
app.send_task("tests.slow", [0], queue="q.ours", task_id=waiting)
slow(0, stamped_headers=["tenant"], tenant="x")
until(lambda: app.connection_for_read().channel().queue_declare("q.ours", passive=True).message_count == 0)
slow(0)
until(lambda: ours("stats")["total"] == {"tests.slow": 1})
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_revoked_is_not_run_nor_to_its_end_and_a_restart_forgets_nothing() {
    let deployment = Deployment::new().await;
    let directory = tempfile::tempdir().unwrap();
    let state_file = Some(directory.path().join("state.json"));
    let config = ControlConfig { state_file, ..control() };
    let ours = Ours::start_as(&deployment, config.clone(), None).await;
    let revoked = client(&deployment, REVOKING, &[]).await;
    ours.stop().await;
    let ours = Ours::start_as(&deployment, config, None).await;
    client(&deployment, STILL_REVOKED, &[revoked[0].as_str().unwrap()]).await;
    ours.stop().await;
}

const NEIGHBOUR: &str = r#"
app.control.revoke("known to a neighbour", destination=["python@test"])
until(lambda: "known to a neighbour" in ask("revoked", to=["python@test"])["python@test"])
"#;

const LEARNT: &str = r#"
until(lambda: "known to a neighbour" in ours("revoked"))
with app.connection_for_write() as connection:
    app.events.Dispatcher(connection, hostname="other@test").send("worker-elect", id="e1", topic="t", action=None, cver=1)
until(lambda: [event["id"] for event in of("ours@test", "worker-elect-ack")] == ["e1"])
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_worker_learns_from_its_neighbours_and_votes_in_their_elections() {
    let deployment = Deployment::new().await;
    let _python = python_worker(&deployment, &[]).await;
    client(&deployment, NEIGHBOUR, &[]).await;
    let ours = Ours::start(&deployment).await;
    client(&deployment, &format!("{LISTEN}{LEARNT}"), &["ours@test"]).await;
    ours.stop().await;
}

const POOL: &str = r#"
def running(number):
    until(lambda: len(ours("active")) == number)
def slots(): return ours("stats")["pool"]["max-concurrency"]
tasks = [slow(60) for _ in range(8)]
running(2)
ours("pool_grow", n=3)
assert slots() == 5
running(5)
ours("pool_shrink", n=4)
assert slots() == 1
ours("revoke", task_id=[each["id"] for each in ours("active")], terminate=True)
until(lambda: ours("stats")["total"] == {"tests.slow": 6})
running(1)
time.sleep(0.3)
running(1)
ours("revoke", task_id=tasks, terminate=True)
until(lambda: not ours("active"))
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_grows_and_shrinks_while_it_works() {
    let deployment = Deployment::new().await;
    let ours = Ours::start(&deployment).await;
    client(&deployment, POOL, &[]).await;
    ours.stop().await;
}

const AUTOSCALE: &str = r#"
def scaler(): return ours("stats")["autoscaler"]
assert scaler() == {"max": 4, "min": 1, "current": 1, "qty": 0}, scaler()
assert "error" in ours("pool_grow"), "as Celery has it"
tasks = [slow(60) for _ in range(8)]
until(lambda: scaler()["current"] == 4 and len(ours("active")) == 4)
assert ours("autoscale", max=6, min=2) == {"ok": "autoscale now max=6 min=2"}
until(lambda: scaler()["current"] == 6 and len(ours("active")) == 6)
ours("autoscale", max=3)
assert scaler()["current"] == 3 and ours("stats")["pool"]["max-concurrency"] == 3
ours("revoke", task_id=tasks, terminate=True)
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_scales_itself_by_the_work_in_hand() {
    let deployment = Deployment::new().await;
    let bounds = Autoscale { max: 4, min: 1 };
    let ours = Ours::start_as(&deployment, control(), Some(bounds)).await;
    client(&deployment, AUTOSCALE, &[]).await;
    ours.stop().await;
}

const LIMITS: &str = r#"
ours("rate_limit", task_name="tests.slow", rate_limit="2/s")
began = time.monotonic()
for _ in range(5): slow(0)
until(lambda: ours("stats")["total"] == {"tests.slow": 5})
took = time.monotonic() - began
assert took > 1.9, took
ours("rate_limit", task_name="tests.slow", rate_limit="1/h")
slow(0); slow(0)
until(lambda: len(ours("reserved")) == 1)
[late] = ours("reserved")
assert ours("query_task", ids=[late["id"]]) == {late["id"]: ["reserved", late]}
ours("rate_limit", task_name="tests.slow", rate_limit=0)
until(lambda: ours("stats")["total"] == {"tests.slow": 7})
ours("time_limit", task_name="tests.slow", hard=0.2)
slow(60)
until(lambda: ours("stats")["total"] == {"tests.slow": 8} and not ours("active"))
eta = slow(0, countdown=3)
until(lambda: ours("query_task", ids=[eta]).get(eta, [""])[0] == "scheduled")
assert ours("scheduled")[0]["request"]["id"] == eta
until(lambda: ours("stats")["total"] == {"tests.slow": 9})
assert ours("scheduled") == []
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_limit_a_time_limit_and_an_eta_hold() {
    let deployment = Deployment::new().await;
    let ours = Ours::start(&deployment).await;
    client(&deployment, LIMITS, &[]).await;
    ours.stop().await;
}

const CONSUMERS: &str = r#"
def queues(): return sorted(queue["name"] for queue in ours("active_queues"))
slow(0, "q.new")
ours("add_consumer", queue="q.new")
until(lambda: ours("stats")["total"] == {"tests.slow": 1})
assert queues() == ["celery", "q.new", "q.ours"]
ours("cancel_consumer", queue="q.new")
assert queues() == ["celery", "q.ours"]
slow(0, "q.new")
with app.connection_for_read() as connection:
    until(lambda: connection.channel().queue_declare("q.new", passive=True).message_count == 1)
ours("add_consumer", queue="q.topic", exchange="things", exchange_type="topic", routing_key="things.#")
with app.connection_for_write() as connection:
    until(lambda: connection.channel().queue_declare("q.topic", passive=True).consumer_count == 1)
app.send_task("tests.slow", [0], exchange="things", routing_key="things.new")
until(lambda: ours("stats")["total"] == {"tests.slow": 2})
only = lambda **pattern: [*app.control.broadcast("ping", reply=True, timeout=0.5, **pattern)]
assert only(pattern="ours@*", matcher="glob") and only(pattern="o.+@t", matcher="pcre")
assert not only(pattern="x*", matcher="glob") and not only(destination=["x@test"])
app.control.shutdown(destination=["ours@test"])
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues_are_added_and_cancelled_and_shutdown_ends_the_worker() {
    let deployment = Deployment::new().await;
    let ours = Ours::start(&deployment).await;
    client(&deployment, CONSUMERS, &[]).await;
    ours.ended().await;
}
