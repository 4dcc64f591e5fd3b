//! Celery's events: how a Python receiver sees those of a worker of ours, compared with those of a Python worker.

use serde_json::Value;
use task_queue::ControlConfig;
use tests::deployment::{DRIVER, Deployment, STATION};
use tests::eventually;
use tests::link::Link;

use super::celery_workers::{Ours, client, control, python_worker};

/// Listens in its own thread. `events` grows; `of` selects from it.
pub(super) const LISTEN: &str = r#"
import threading
events, state = [], app.events.State()
def listen():
    with app.connection_for_read() as connection:
        def heard(event):
            if "elect" not in event["type"]: state.event(event)
            events.append(event)
        receiver = app.events.Receiver(connection, handlers={"*": heard})
        bound.set()
        receiver.capture(limit=None, timeout=None, wakeup=False)
bound = threading.Event()
threading.Thread(target=listen, daemon=True).start()
bound.wait()
def of(node, kind): return [each for each in list(events) if each["hostname"] == node and each["type"] == kind]
for node in sys.argv[2:]:
    if "@" in node: until(lambda: of(node, "worker-heartbeat"))
"#;

const COMPARED: &str = r#"
both = ["ours@test", "python@test"]
def tasks(node): return [each["type"] for each in list(events) if each["hostname"] == node and each["type"].startswith("task")]
def settle(): time.sleep(1)
slow(0, "q.ours"); slow(0, "q.python"); settle()
assert not tasks(both[0]) and not tasks(both[1]), "nobody has asked for events"
ask("enable_events", 2, both)
ask("revoke", 2, both, task_id=both)
ids = {node: [slow(0, queue), slow(60, queue, shadow="shown"), slow(0, queue, task_id=node), slow(0, queue, countdown=1)]
       for node, queue in zip(both, ["q.ours", "q.python"])}
until(lambda: all(len(of(node, "task-started")) >= 3 and of(node, "task-revoked") for node in both))
for node in both: app.control.revoke(ids[node][1], terminate=True, destination=[node])
until(lambda: all(len(of(node, "task-revoked")) == 2 for node in both))
ask("disable_events", 2, both); settle()
before = {node: len(tasks(node)) for node in both}
slow(0, "q.ours"); slow(0, "q.python"); settle()
assert before == {node: len(tasks(node)) for node in both}, "off is off"
def unrevoked(node): return [id for id in ids[node] if id != node]
def shape(event): return {name: type(value).__name__ for name, value in event.items() if name != "local_received"}
def clocks(node): return [each["clock"] for each in list(events) if each["hostname"] == node]
shapes = {node: {kind: shape(of(node, kind)[0]) for kind in
  "worker-heartbeat task-received task-started task-succeeded task-revoked".split()} for node in both}
print(json.dumps({
    "shapes": shapes,
    "received": {node: [[event["name"], event["args"], event["kwargs"]] for event in of(node, "task-received")[:2]] for node in both},
    "receipts": {node: [[event["uuid"] for event in of(node, "task-received")].count(id) for id in unrevoked(node)] for node in both},
    "revoked": {node: sorted(event["expired"] for event in of(node, "task-revoked")) for node in both},
    "states": {node: [state.tasks[id].state for id in ids[node]] for node in both},
    "results": {node: state.tasks[ids[node][0]].result for node in both},
    "versions": {node: of(node, "worker-heartbeat")[0]["sw_ver"] for node in both},
    "alive": {node: state.workers[node].alive for node in both},
    "clocks": {node: clocks(node) == sorted(set(clocks(node))) for node in both},
}))
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_events_match_a_python_workers_and_only_while_enabled() {
    let deployment = Deployment::new().await;
    let ours = Ours::start(&deployment).await;
    let _python = python_worker(&deployment, &[]).await;
    let script = format!("{LISTEN}{COMPARED}");
    let seen = client(&deployment, &script, &["ours@test", "python@test"]).await;
    for (what, by_node) in seen.as_object().unwrap() {
        let (ours, python) = (&by_node["ours@test"], &by_node["python@test"]);
        assert_eq!(ours, python, "{what}");
    }
    assert_eq!(seen["clocks"]["ours@test"], true);
    assert_eq!(seen["receipts"]["ours@test"], serde_json::json!([1, 1, 1]), "the last one has a countdown");
    assert_eq!(seen["received"]["ours@test"][1], serde_json::json!(["shown", "[60]", "{}"]));
    ours.stop().await;
}

const FAILURES: &str = r#"
app.send_task("tests.nosuch", queue="q.ours")
slow("no number")
until(lambda: len(of("ours@test", "task-failed")) == 2)
print(json.dumps([[event["exception"].split("(")[0], "traceback" in event] for event in of("ours@test", "task-failed")]))
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn initially_enabled_events_report_start_stop_and_failures() {
    let deployment = Deployment::new().await;
    let going = async |config: ControlConfig| {
        let ours = Ours::start_as(&deployment, config, None).await;
        let failures = client(&deployment, &format!("{LISTEN}{FAILURES}"), &["ours@test"]).await;
        ours.stop().await;
        failures
    };
    // The listener may start too late for the first run.
    let twice = async {
        let config = ControlConfig { task_events: true, ..control() };
        going(config.clone()).await;
        going(config).await
    };
    let script = format!(
        "{LISTEN}until(lambda: of('ours@test', 'worker-online') and of('ours@test', 'worker-offline'))"
    );
    let listening = client(&deployment, &script, &[]);
    let (_, failures) = tokio::join!(listening, twice);
    let mut failures: Vec<Value> = failures.as_array().unwrap().clone();
    failures.sort_by_key(ToString::to_string);
    assert_eq!(Value::from(failures), serde_json::json!([["NotRegistered", true], ["TypeError", true]]));
}

const AGAIN: &str = r#"
seen = len(events)
slow(0)
until(lambda: of("ours@test", "task-succeeded"))
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_and_control_come_back_after_the_connections_were_cut() {
    let deployment = Deployment::new().await;
    let link = Link::to(&deployment.environment["BROKER_URL"]).await;
    let config = ControlConfig { task_events: true, ..control() };
    let ours = Ours::start_as(&deployment.through("BROKER_URL", &link), config, None).await;
    for _ in 0..2 {
        link.cut();
        link.open();
        client(&deployment, &format!("{LISTEN}{AGAIN}"), &["ours@test"]).await;
        let answered = client(&deployment, "until(lambda: 'ours@test' in ask('ping')); print(1)", &[]).await;
        assert_eq!(answered, 1);
    }
    ours.stop().await;
}

const SECRET: &str = r#"
import uuid
station, token, url = sys.argv[3:]
name = "authorization_worker.tasks.authorize"
ask("enable_events", to=[sys.argv[2]])
expiry = time.time_ns() + 30_000_000_000
app.send_task(name, [uuid.UUID(station), token, url, expiry])
running = app.send_task(name, [uuid.UUID(station)], dict(driver_token=token, callback_url=url, expiry_time_ns=expiry)).id
until(lambda: len(of(sys.argv[2], "task-started")) == 2)
shown = json.dumps([events, ask("active", to=[sys.argv[2]]), ask("conf", to=[sys.argv[2]]), ask("stats", to=[sys.argv[2]])], default=str)
for secret in token, url, "guest:guest", "whsec_": assert secret not in shown, (secret, shown)
assert ask("revoke", to=[sys.argv[2]], task_id=running, terminate=True)[sys.argv[2]] == {"ok": "terminate: " + running}
until(lambda: [each["uuid"] for each in of(sys.argv[2], "task-revoked")] == [running])
app.control.shutdown(destination=[sys.argv[2]])
print(json.dumps(running))
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voltgate_worker_masks_tokens_and_records_revoked_tasks() {
    let mut deployment = Deployment::new()
        .await
        .with("TASK_QUEUE_TYPE", "classic")
        .with("WORKER_HOSTNAME", "voltgate@%h")
        .with("WEBHOOK_SECRET", "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=");
    let mut services = deployment.start().await;
    let host = tests::callback_host::CallbackHost::start().await;
    let node = client(
        &deployment,
        "until(lambda: app.control.ping()); print(json.dumps(next(iter(app.control.ping()[0]))))",
        &[],
    )
    .await;
    let node = node.as_str().unwrap();
    assert!(node.starts_with("voltgate@"), "{node}");
    let arguments = [node, STATION, DRIVER, &host.url("/hang")];
    let revoked = client(&deployment, &format!("{LISTEN}{SECRET}"), &arguments).await;
    assert_eq!(services.worker.ended().await, Some(0), "{}", services.worker.log());
    let dead = eventually("the dead letter of what was revoked", async || {
        let letters = deployment.drain("celery.dead").await;
        letters.into_iter().next()
    })
    .await;
    let headers = &dead["properties"]["headers"];
    assert_eq!(headers["id"], revoked);
    assert!(headers.to_string().contains("revoked"), "{headers}");
    let record = services.record_once(&deployment.http, revoked.as_str().unwrap(), "undeliverable").await;
    assert_eq!(record["request_id"], revoked);
}
